"""Tests of figures on disk."""

import matplotlib.pyplot
import matplotlib.text
import numpy as np
import pytest
from PIL import Image

from meta_keras.plots import figure_pixels, save_figure
from meta_keras.plots.figures import new_figure, plain


@pytest.fixture
def figure():
    figure = new_figure(figsize=(2, 1), dpi=100)
    figure.subplots().plot([1, 2])
    return figure


def test_pixels(figure):
    picture = figure_pixels(figure)
    assert picture.shape == (100, 200, 3) and picture.dtype == np.uint8
    assert not matplotlib.pyplot.get_fignums()


def test_saves_by_the_ending(figure, tmp_path):
    save_figure(figure, tmp_path / "it.png", str(tmp_path / "it.svg"))
    assert Image.open(tmp_path / "it.png").size == (300, 150)
    assert "<svg" in (tmp_path / "it.svg").read_text()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["it.png", "it.svg"]


def test_an_unknown_ending_leaves_nothing(figure, tmp_path):
    with pytest.raises(ValueError, match="xyz"):
        save_figure(figure, tmp_path / "it.xyz")
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError):
        save_figure(figure, tmp_path / "missing" / "it.png")


@pytest.mark.parametrize("text", ["$", "$a$", r"$\frac$", r"a\$b$", r"\$x^2\$", "a$b$c$", "$$"])
def test_a_text_is_no_formula(text):
    figure = new_figure(figsize=(2, 1), dpi=100)
    shown, literal = figure.text(0.1, 0.5, plain(text)), matplotlib.text.Text(parse_math=False)
    figure_pixels(figure)  # A formula that is none would raise here.
    literal.set_text(text)
    assert shown._preprocess_math(shown.get_text()) == literal._preprocess_math(text)


def test_a_text_is_one_short_line():
    assert plain("a\nb\x1b\udcff") == r"a\nb\x1b\udcff"
    assert plain("x" * 500, 20) == "x" * 19 + "…"
    assert plain("дельта 日本") == "дельта 日本"
