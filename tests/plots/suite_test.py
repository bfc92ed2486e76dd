"""Tests of the picture of optimizers side by side."""

import numpy as np

from meta_keras.plots import suite_figure

LOSSES = {
    ("a", "Adam"): [1.0, 3.0],
    ("a", "learned"): [0.5, 1.5],
    ("b", "Adam"): [0.1, 0.1],
    ("b", "learned"): [9.0, 11.0],
}


def test_places_and_what_lies_beyond():
    rows = [
        {"task": task, "optimizer": name, "steps": steps, "training_loss": losses}
        for steps in (100, 10)
        for (task, name), losses in LOSSES.items()
    ]
    figure = suite_figure(rows)
    assert [axes.get_title() for axes in figure.axes] == ["10 steps", "100 steps"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b"]
    for axes in figure.axes:
        points = {c.get_color(): c[0].get_xdata() for c in _points(axes)}
        np.testing.assert_allclose(points["C0"], [1, 1])
        np.testing.assert_allclose(points["C1"], [0.5, 100])
        arrows = [(line.get_marker(), list(line.get_ydata())) for line in axes.lines]
        beyond = [place for marker, places in arrows if marker == ">" for place in places]
        assert len(beyond) == 1 and round(beyond[0]) == -1  # of the task b
    assert len(figure.legends[0].get_texts()) == 2


def _points(axes):
    """The containers of error bars, with their colour."""
    for container in axes.containers:
        container.get_color = container[0].get_color
        yield container
