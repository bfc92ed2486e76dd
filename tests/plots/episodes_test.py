"""Tests of the pictures of episodes."""

import numpy as np

from meta_keras.data import strokes
from meta_keras.plots import (
    described_episode_picture,
    episode_picture,
    predicted_episode_picture,
)


def _picture(logits):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 2)
    return episode_picture(
        rng.uniform(size=(3, 8, 8, 1)), np.arange(3), rng.uniform(size=(6, 8, 8, 1)), labels, logits
    )


def _pixels(picture, color):
    return (np.abs(picture.astype(int) - color).sum(axis=-1) < 60).sum()


def test_right_answers_are_green_and_wrong_ones_red():
    right = np.eye(3)[np.repeat(np.arange(3), 2)] * 9
    picture = _picture(right)
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    assert _pixels(picture, [0, 128, 0]) > 0
    assert _pixels(picture, [255, 0, 0]) == 0
    wrong = np.roll(right, 1, axis=1)
    assert _pixels(_picture(wrong), [0, 128, 0]) == 0
    assert _pixels(_picture(wrong), [255, 0, 0]) > 0


def test_photographs_keep_their_colours():
    labels = np.arange(2)
    support = np.ones((2, 8, 8, 3)) * np.array([[1, 0.5, 0], [0, 0.25, 1]])[:, None, None]
    picture = episode_picture(support, labels, support, labels, 9 * np.eye(2))
    assert _pixels(picture, [255, 128, 0]) > 1000 and _pixels(picture, [0, 64, 255]) > 1000


class Answers:
    """In place of a learner: always the same logits."""

    def __init__(self, logits):
        self.logits = logits

    def predict_on_batch(self, x):
        return self.logits[None]


def test_of_a_batch_the_first_episode_is_shown():
    rng = np.random.default_rng(0)
    x = {
        "support_images": rng.uniform(size=(2, 3, 8, 8, 1)),
        "support_labels": np.tile(np.arange(3), (2, 1)),
        "query_images": rng.uniform(size=(2, 6, 8, 8, 1)),
    }
    y = np.stack([np.repeat(np.arange(3), 2), np.tile(np.arange(3), 2)])
    logits = rng.normal(size=(6, 3))
    expected = episode_picture(
        x["support_images"][0], x["support_labels"][0], x["query_images"][0], y[0], logits
    )
    np.testing.assert_array_equal(predicted_episode_picture(Answers(logits), (x, y)), expected)


def test_descriptions_are_drawn():
    lines = [[np.array([[0.0, 0], [10, 10]])], [np.array([[0.0, 10], [10, 0]])]]
    x = {
        "descriptors": np.stack([strokes.resample(line) for line in lines])[None],
        "query_images": np.zeros((1, 2, 8, 8, 1)),
    }
    y, logits = np.array([[0, 1]]), np.eye(2) * 9
    picture = described_episode_picture(Answers(logits), (x, y))
    x["descriptors"] = x["descriptors"][:, ::-1]
    swapped = described_episode_picture(Answers(logits), (x, y))
    assert picture.dtype == np.uint8 and picture.shape == swapped.shape
    assert (picture != swapped).any()
    assert _pixels(picture, [0, 128, 0]) > 0
