"""Tests of figures on disk."""

import matplotlib.pyplot
import numpy as np
import pytest
from PIL import Image

from meta_keras.plots import figure_pixels, save_figure
from meta_keras.plots.figures import new_figure


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
