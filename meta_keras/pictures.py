"""Pictures of episodes and of optimizations."""

import itertools

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def predicted_episode_picture(learner, batch):
    """The first episode of a batch `(x, y)` with the learner's predictions, as a picture.

    Args:
        learner: an `EpisodicLearner`.
        batch: `(x, y)` as a learner is fitted on.

    Returns:
        uint8 `[height, width, 3]`, see `episode_picture`.
    """
    x, y = batch
    x = {name: np.asarray(value[:1]) for name, value in x.items()}
    logits = learner.predict_on_batch(x)
    return episode_picture(
        x["support_images"][0],
        x["support_labels"][0],
        x["query_images"][0],
        np.asarray(y[0]),
        logits[0],
    )


def episode_picture(support_images, support_labels, query_images, query_labels, logits):
    """One episode as a picture: a row a class, its support pictures, then its query pictures.

    Under every query picture stands the probability of the class the learner chose: green where
    it is right, red with the chosen class where it is wrong.

    Args:
        support_images: `[N*K, H, W, C]` in [0, 1], ink 1.
        support_labels: `[N*K]` int.
        query_images: `[N*Q, H, W, C]`.
        query_labels: `[N*Q]` int.
        logits: `[N*Q, N]`.

    Returns:
        uint8 `[height, width, 3]`.
    """
    classes = logits.shape[1]
    support = [support_images[support_labels == label] for label in range(classes)]
    query = [np.flatnonzero(query_labels == label) for label in range(classes)]
    shots = max(len(images) for images in support)
    columns = shots + max(len(indices) for indices in query)
    shifted = logits - logits.max(axis=1, keepdims=True)
    probabilities = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    chosen = logits.argmax(axis=1)
    accuracy = (chosen == query_labels).mean()

    figure = Figure(figsize=(0.62 * columns + 0.6, 0.82 * classes + 0.5), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.subplots(classes, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    figure.suptitle(
        f"support ({shots} a class, framed) and query, {accuracy:.0%} right", fontsize=9
    )
    for label in range(classes):
        for column, image in enumerate(support[label]):
            _show(axes[label, column], image, "black")
            axes[label, column].set_title(f"class {label + 1}", fontsize=7, pad=2)
        for column, index in enumerate(query[label]):
            right = chosen[index] == label
            axis = axes[label, shots + column]
            _show(axis, query_images[index], None)
            text = f"{probabilities[index].max():.0%}"
            axis.set_title(
                text if right else f"{chosen[index] + 1}: {text}",
                fontsize=7,
                pad=2,
                color="green" if right else "red",
            )
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.86, wspace=0.08, hspace=0.3)
    return figure_pixels(figure)


def loss_curves_figure(optimizers, horizon):
    """Loss over steps of several optimizers: mean and 95 % band, named at the end of each curve.

    Args:
        optimizers: dict from a name to a dict with `curve` and `curve_ci95`, lists of the mean
            loss after 0, 1, ... steps and of the half width of its interval.
        horizon: the number of steps the learned optimizer was trained for, marked by a line.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    _draw_loss_curves(figure.subplots(), optimizers, horizon)
    return figure


def loss_curves_panels(results):
    """`loss_curves_figure` for several problems side by side.

    Args:
        results: dict from a description to a dict with `optimizers` as in `loss_curves_figure`.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    columns = min(3, len(results))
    rows = -(-len(results) // columns)
    figure = Figure(figsize=(5.2 * columns, 3.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for axis, (description, result) in zip(axes, results.items(), strict=False):
        _draw_loss_curves(axis, result["optimizers"])
        axis.set_title(description, fontsize=10)
    for axis in list(axes)[len(results) :]:
        axis.set_axis_off()
    return figure


def _draw_loss_curves(axes, optimizers, horizon=None):
    ends = []
    for number, (name, optimizer) in enumerate(optimizers.items()):
        curve, band = np.array(optimizer["curve"]), np.array(optimizer["curve_ci95"])
        steps, color = np.arange(len(curve)), f"C{number}"
        axes.plot(steps, curve, color=color, linewidth=2.2 if name == "learned" else 1.3)
        low = np.maximum(curve - band, curve / 100)
        axes.fill_between(steps, low, curve + band, color=color, alpha=0.2, linewidth=0)
        ends.append([curve[-1], name, color])
    axes.set_yscale("log")
    finite = np.array([c for o in optimizers.values() for c in o["curve"] if np.isfinite(c)])
    top = 3 * max(optimizer["curve"][0] for optimizer in optimizers.values())
    axes.set_ylim(finite.min() / 1.5, min(finite.max() * 1.5, top))
    # Labels side by side where the curves end, moved apart where they would overlap.
    limits = np.log(axes.get_ylim())
    gap = np.ptp(limits) / 18
    ends = [[np.clip(np.log(end), *limits), *label] for end, *label in ends if np.isfinite(end)]
    ends.sort(key=lambda end: end[0])
    for below, above in itertools.pairwise(ends):
        above[0] = max(above[0], below[0] + gap)
    for height, name, color in ends:
        place = (1.01 * (len(curve) - 1), np.exp(height))
        axes.annotate(name, place, color=color, va="center", annotation_clip=False)
    if horizon is not None:
        axes.axvline(horizon, color="grey", linewidth=0.8, linestyle=":")
        axes.text(horizon, axes.get_ylim()[1], " trained for", fontsize=8, color="grey", va="top")
    axes.set(xlabel="step", ylabel="loss", xlim=(0, len(curve) - 1))
    axes.spines[["top", "right"]].set_visible(False)


def figure_pixels(figure):
    """A figure as uint8 `[height, width, 3]`."""
    figure.canvas.draw()
    return np.array(figure.canvas.buffer_rgba())[..., :3]


def _show(axis, image, frame):
    axis.imshow(1.0 - image, cmap="gray", vmin=0, vmax=1)
    if frame:
        axis.set_axis_on()
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set_color(frame)
