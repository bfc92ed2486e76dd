"""Losses over the steps of optimizations."""

import itertools

import numpy as np

from meta_keras.plots.figures import new_figure, plain


def loss_curves_figure(optimizers, horizon=None):
    """Loss over steps of several optimizers: mean and 95 % band, named at the end of each curve.

    Args:
        optimizers: dict from a name to a dict with `curve` and `curve_ci95`, lists of the mean
            loss after 0, 1, ... steps and of the half width of its interval.
        horizon: the steps the learned optimizer was trained for, marked by a line if
            given and within the curves.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    figure = new_figure(figsize=(7, 4.2), layout="constrained")
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
    figure = new_figure(figsize=(5.2 * columns, 3.6 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis, (description, result) in zip(axes, results.items(), strict=False):
        _draw_loss_curves(axis, result["optimizers"])
        axis.set_title(plain(description), fontsize=10)
    for axis in axes[len(results) :]:
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
        axes.annotate(plain(name), place, color=color, va="center", annotation_clip=False)
    if horizon is not None and horizon < len(curve):
        axes.axvline(horizon, color="grey", linewidth=0.8, linestyle=":")
        axes.text(horizon, axes.get_ylim()[1], " trained for", fontsize=8, color="grey", va="top")
    axes.set(xlabel="step", ylabel="loss", xlim=(0, len(curve) - 1))
    axes.spines[["top", "right"]].set_visible(False)
