"""Tests of the comparison of accuracies."""

import numpy as np

from meta_keras.plots import comparison_figure


def centres(axes, color):
    """Places of the marks with an error bar, or without."""
    return [
        tuple(np.ravel(line.get_xydata()))
        for line in axes.lines
        if line.get_marker() in "oD" and line.get_color() == color and len(line.get_xdata())
    ]


def test_published_figures_stand_beside_the_runs():
    run = {"accuracy": 97.0, "ci95": 0.5, "published": None, "published_ci95": None}
    (axes,) = comparison_figure(
        [
            run | {"name": "one\nomniglot"},
            run | {"name": "two", "published": 98.7, "published_ci95": 0.4},
            run | {"name": "three", "published": 95.4},
        ]
    ).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "one\nomniglot",
        "two",
        "three",
    ]
    assert centres(axes, "C0") == [(97.0, 0), (97.0, 1), (97.0, 2)]
    assert centres(axes, "C1") == [(98.7, 1.25), (95.4, 2.25)]
    low, high = axes.get_ylim()
    assert low > high  # The first is on top.
