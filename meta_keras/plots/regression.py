"""Pictures of regression on a line."""

import numpy as np

from meta_keras.plots.figures import figure_pixels, new_figure


def regression_picture(learner, batch):
    """The first episode of a batch of one-dimensional regression, before and after adaptation.

    Args:
        learner: a `GradientBasedLearner` of `[batch, 1] -> [batch, 1]`.
        batch: `(x, y)`, see `meta_keras.data.sinusoids`.

    Returns:
        uint8 `[height, width, 3]`.
    """
    x, y = batch
    support, values, query = (
        np.ravel(x[name][0]) for name in ("support_images", "support_labels", "query_images")
    )
    order = np.argsort(query)
    places = query[order][:, None]
    adapted = learner.adapt(x["support_images"][0], x["support_labels"][0])
    figure = new_figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(places, np.ravel(y[0])[order], color="0.6", linewidth=4, label="the task")
    axes.plot(places, learner.network(places), "--", label="before adaptation")
    axes.plot(places, adapted(places), label="after adaptation")
    axes.plot(support, values, "k^", label="support")
    axes.set(xlabel="x", ylabel="y")
    axes.legend()
    return figure_pixels(figure)


def errors_figure(errors, intervals):
    """The error of a regressor over the steps it adapts with.

    Args:
        errors, intervals: mean squared error after 0, 1, ... steps and the half width of its 95 %
            interval, lists.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    figure = new_figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.errorbar(range(len(errors)), errors, intervals, marker="o", capsize=3)
    axes.set(xlabel="gradient steps", ylabel="mean squared error", ylim=(0, None))
    return figure
