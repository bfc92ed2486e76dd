"""Tests of the picture of an episode."""

import numpy as np

from meta_keras.pictures import episode_picture


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
