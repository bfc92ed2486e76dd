"""Tests of the contact sheet."""

import numpy as np

from meta_keras.plots import contact_sheet


def pixels(picture, color):
    return (np.abs(picture.astype(int) - color).sum(axis=-1) < 60).sum()


def sheet(truth):
    rng = np.random.default_rng(0)
    images, probabilities = rng.uniform(size=(2, 8, 8, 1)), np.eye(2)
    return contact_sheet(images, np.arange(2), images, probabilities, ["a", "b"], np.array(truth))


def test_colours_of_the_answers():
    picture = sheet([0, 1])
    assert picture.dtype == np.uint8 and picture.shape[1:] == (920, 3)
    assert pixels(picture, [0, 128, 0]) > 0 and pixels(picture, [255, 0, 0]) == 0
    picture = sheet([1, 0])
    assert pixels(picture, [0, 128, 0]) == 0 and pixels(picture, [255, 0, 0]) > 0
    picture = sheet([-1, -1])
    assert pixels(picture, [0, 128, 0]) == pixels(picture, [255, 0, 0]) == 0


def test_names_of_classes_are_no_formulas():
    rng = np.random.default_rng(0)
    images, probabilities = rng.uniform(size=(2, 8, 8, 1)), np.eye(2)
    pixels = [
        contact_sheet(images, np.arange(2), images, probabilities, [name, "b"], np.arange(2))
        for name in (r"$\frac$", "$a$", "a")
    ]
    assert (pixels[1] != pixels[2]).any()  # The signs are drawn.


def test_long_names_stay_in_their_columns():
    rng = np.random.default_rng(0)
    images, probabilities = rng.uniform(size=(2, 8, 8, 1)), np.eye(2)
    for name in ("m" * 255, "a\nb", "\udcff\x1b"):
        picture = contact_sheet(
            images, np.arange(2), images, probabilities, [name, "b"], np.arange(2)
        )
        assert picture[45:, 320:].min() > 200  # Below the title nothing but the two columns.
