"""One episode as a picture, with the predictions of a learner."""

import numpy as np

from meta_keras.data import strokes
from meta_keras.plots.figures import figure_pixels, new_figure, plain, show_picture


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
        support_images: `[N*K, H, W, C]` in [0, 1], with one channel ink 1.
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

    figure = new_figure(figsize=(0.62 * columns + 0.6, 0.82 * classes + 0.5), dpi=100)
    axes = figure.subplots(classes, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    figure.suptitle(
        f"{plain(framed)} ({shots} a class, framed) and query, {accuracy:.0%} right", fontsize=9
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


def _show(axis, image, frame):
    show_picture(axis, image)
    if frame:
        axis.set_axis_on()
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set_color(frame)
