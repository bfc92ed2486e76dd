"""Tests of the pictures."""

import numpy as np

from meta_keras.pictures import contact_sheet, episode_picture, loss_curves_figure


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


def test_names_of_classes_are_no_formulas():
    rng = np.random.default_rng(0)
    images, probabilities = rng.uniform(size=(2, 8, 8, 1)), np.eye(2)
    pixels = [
        contact_sheet(images, np.arange(2), images, probabilities, [name, "b"], np.arange(2))
        for name in (r"$\frac$", "$a$", "a")
    ]
    assert (pixels[1] != pixels[2]).any()  # The signs are drawn.


def test_curves_are_named_where_they_end():
    steps = np.arange(11)
    curves = {"learned": 0.5**steps, "Adam": 0.8**steps, "SGD": 1e3**steps, "lost": steps * np.nan}
    table = {
        name: {"curve": curve.tolist(), "curve_ci95": (0.1 * curve).tolist()}
        for name, curve in curves.items()
    }
    table["lost"]["curve"][0] = 1.0
    figure = loss_curves_figure(table, horizon=5)
    (axes,) = figure.axes
    low, high = axes.get_ylim()
    assert axes.get_yscale() == "log" and low < 0.5**10 and high < 100
    labels = {text.get_text(): text.xy for text in axes.texts if text.get_text() in curves}
    assert set(labels) == {"learned", "Adam", "SGD"}
    assert all(low <= y <= high * 1.01 for _, y in labels.values())
    np.testing.assert_allclose(labels["learned"][1], 0.5**10)
    line = next(line for line in axes.lines if line.get_linewidth() > 2)
    np.testing.assert_array_equal(line.get_ydata(), curves["learned"])
    assert [t.get_position()[0] for t in axes.texts if "trained for" in t.get_text()] == [5]
    (axes,) = loss_curves_figure(table, horizon=20).axes
    assert not any("trained for" in text.get_text() for text in axes.texts)
