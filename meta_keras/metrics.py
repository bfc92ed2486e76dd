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
    """Mean and half width of its 95 % confidence interval, 1.96 s / sqrt(n).

    The normal approximation every few-shot paper uses; s is the sample standard deviation.

    Args:
        values: `[n]`, n at least 2.

    Raises:
        ValueError: fewer than two values.
    """
    values = np.asarray(values, np.float64)
    if values.size < 2:
        raise ValueError(f"an interval needs at least 2 values, got {values.size}.")
    return float(values.mean()), float(1.96 * values.std(ddof=1) / np.sqrt(values.size))


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
