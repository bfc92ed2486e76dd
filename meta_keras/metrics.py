"""Accuracy over episodes with its confidence interval."""

import numpy as np


def episode_accuracies(labels, logits):
    """Share of right answers in every episode.

    Args:
        labels: `[episodes, N*Q]` int.
        logits: `[episodes, N*Q, N]`.

    Returns:
        float64 `[episodes]`, each in [0, 1].
    """
    return (np.argmax(logits, axis=-1) == np.asarray(labels)).mean(axis=-1)


def mean_and_ci95(values):
    """Mean and half width of its 95 % confidence interval, 1.96 s / sqrt(n), over the first axis.

    The normal approximation every few-shot paper uses; s is the sample standard deviation.

    Args:
        values: `[n, ...]`, n at least 2.

    Returns:
        `(mean, half width)`: floats, or arrays `[...]` of the values' dtype.

    Raises:
        ValueError: fewer than two values.
    """
    values = np.asarray(values)
    if len(values) < 2:
        raise ValueError(f"an interval needs at least 2 values, got {len(values)}.")
    if values.ndim == 1:
        values = values.astype(np.float64)
    mean = values.mean(axis=0)
    half_width = 1.96 * values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return (float(mean), float(half_width)) if values.ndim == 1 else (mean, half_width)


def evaluate_episodes(learner, episodes):
    """Accuracy of a learner on a dataset of episodes.

    Args:
        learner: an `EpisodicLearner`.
        episodes: a finite `tf.data.Dataset` of `(x, y)` batches.

    Returns:
        float64 `[episodes]`, the accuracy of every episode.
    """
    accuracies = [episode_accuracies(labels, learner.predict_on_batch(x)) for x, labels in episodes]
    return np.concatenate(accuracies)
