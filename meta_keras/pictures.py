"""Pictures of episodes and of optimizations."""

import itertools

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from meta_keras.data import strokes


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


def described_episode_picture(learner, batch):
    """The first episode of a zero-shot batch; the framed pictures are the described trajectories.

    Args:
        learner: a `ZeroShotPrototypicalNetwork`.
        batch: `(x, y)` as from `zero_shot_episodes`.

    Returns:
        uint8 `[height, width, 3]`, see `episode_picture`.
    """
    x, y = batch
    x = {name: np.asarray(value[:1]) for name, value in x.items()}
    traced = [
        # From [-1, 1] to the middle of a sheet.
        strokes.rasterise([stroke + 1.5 for stroke in strokes.split(descriptor)], side=3, pen=0.1)
        for descriptor in x["descriptors"][0]
    ]
    return episode_picture(
        np.stack(traced)[..., None] / 255.0,
        np.arange(len(traced)),
        x["query_images"][0],
        np.asarray(y[0]),
        learner.predict_on_batch(x)[0],
        framed="description",
    )


def episode_picture(
    support_images, support_labels, query_images, query_labels, logits, framed="support"
):
    """One episode as a picture: a row a class, its support pictures, then its query pictures.

    Under every query picture stands the probability of the class the learner chose: green where
    it is right, red with the chosen class where it is wrong.

    Args:
        support_images: `[N*K, H, W, C]` in [0, 1], ink 1.
        support_labels: `[N*K]` int.
        query_images: `[N*Q, H, W, C]`.
        query_labels: `[N*Q]` int.
        logits: `[N*Q, N]`.
        framed: what the title calls the first pictures of a row.

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
        f"{framed} ({shots} a class, framed) and query, {accuracy:.0%} right", fontsize=9
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


SHEET_COLUMNS = 12
SHEET_PICTURES = 2000  # More would not fit into one picture.


def contact_sheet(support_images, support_labels, query_images, probabilities, classes, truth):
    """Support pictures of every class, then query pictures with the answers, as a picture.

    Under every query picture stand the class with the highest probability and that: green where
    it is right, red where it is wrong, black where nobody knows.

    Args:
        support_images: `[n, H, W, 1]` in [0, 1], ink 1.
        support_labels: `[n]` int.
        query_images: `[m, H, W, 1]`; the first 2,000 are shown.
        probabilities: `[m, N]`.
        classes: N names.
        truth: `[m]` int, -1 where the class is not known.

    Returns:
        uint8 `[height, width, 3]`.
    """
    shown = min(len(query_images), SHEET_PICTURES)
    cells = [
        (image, classes[label], "black", True)
        for image, label in zip(support_images, support_labels, strict=True)
    ]
    cells += [None] * (-len(cells) % SHEET_COLUMNS)  # The query starts on a row of its own.
    for image, row, label in zip(query_images, probabilities, truth[:shown], strict=False):
        color = "black" if label < 0 else "green" if row.argmax() == label else "red"
        cells.append((image, f"{classes[row.argmax()]}\n{row.max():.0%}", color, False))
    rows = -(-len(cells) // SHEET_COLUMNS)
    height, width = support_images.shape[1:3]
    figure = Figure(figsize=(0.75 * SHEET_COLUMNS + 0.2, 1.05 * rows + 0.5), dpi=100)
    canvas = FigureCanvasAgg(figure)
    top = 1 - 0.4 / figure.get_figheight()
    axes = figure.add_axes((0.01, 0.01, 0.98, top - 0.01))
    axes.set_axis_off()
    axes.set(xlim=(0, SHEET_COLUMNS), ylim=(rows, 0))
    text = "examples (framed), then answers with their probability"
    if shown < len(query_images):
        text += f"; the first {shown:,} of {len(query_images):,} pictures"
    figure.suptitle(text, fontsize=9, y=1 - 0.1 / figure.get_figheight(), va="top")
    for number, cell in enumerate(cells):
        if cell is None:
            continue
        image, name, color, framed = cell
        row, column = divmod(number, SHEET_COLUMNS)
        extent = (column + 0.08, column + 0.92, row + 0.6 * height / width + 0.02, row + 0.02)
        axes.imshow(1.0 - image, cmap="gray", vmin=0, vmax=1, extent=extent, aspect="auto")
        if framed:
            left, right, bottom, top = extent
            axes.plot([left, right, right, left, left], [top, top, bottom, bottom, top], "k", lw=1)
        style = {"fontsize": 7, "color": color, "ha": "center", "va": "top"}
        # Names are users', in which two "$" are no formula.
        axes.text(column + 0.5, row + 0.65, name, parse_math=False, **style)
    axes.set(xlim=(0, SHEET_COLUMNS), ylim=(rows, 0))
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


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
    if horizon is not None and horizon < len(curve):
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
