"""Tests of accuracies and intervals."""

import numpy as np
import pytest

from meta_keras.metrics import episode_accuracies, evaluate_episodes, mean_and_ci95


def test_episode_accuracies():
    labels = np.array([[0, 1, 1, 2], [2, 2, 0, 0]])
    chosen = np.array([[0, 1, 2, 2], [0, 1, 1, 0]])
    logits = np.eye(3)[chosen] - 5.0
    np.testing.assert_allclose(episode_accuracies(labels, logits), [0.75, 0.25])


def test_interval_by_hand():
    mean, half = mean_and_ci95([0.2, 0.4, 0.6, 0.8])
    assert mean == pytest.approx(0.5)
    # Deviations -.3, -.1, .1, .3: sum of squares 0.2, s^2 = 0.2 / 3.
    assert half == pytest.approx(1.96 * (0.2 / 3) ** 0.5 / 2)


def test_interval_covers_the_truth_in_95_of_100_samples():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        mean, half = mean_and_ci95(rng.binomial(75, 0.9, 200) / 75)
        covered += abs(mean - 0.9) <= half
    assert 0.935 < covered / 2000 < 0.965


def test_one_value_has_no_interval():
    with pytest.raises(ValueError, match="got 1"):
        mean_and_ci95([0.5])


def test_evaluate_episodes():
    class Answers:
        def predict_on_batch(self, x):
            return x["logits"]

    batches = [
        ({"logits": np.eye(2)[[[0, 1]]]}, np.array([[0, 1]])),
        ({"logits": np.eye(2)[[[0, 1]]]}, np.array([[0, 0]])),
    ]
    np.testing.assert_allclose(evaluate_episodes(Answers(), batches), [1.0, 0.5])
