"""Tests of the comparison of accuracies."""

import numpy as np

from meta_keras.plots import comparison_figure, figure_pixels


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


def test_names_are_users():
    run = {"accuracy": 97.0, "ci95": 0.5, "published": None, "published_ci95": None}
    names = [r"cost $\frac$ (maml)" + "\n5-way", "\udcff\x1b[2J", "x" * 255]
    figure = comparison_figure([run | {"name": name} for name in names])
    assert figure_pixels(figure).any()
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert shown[0] == r"cost \$\frac\$ (maml)" + "\n5-way" and shown[1] == r"\udcff\x1b[2J"
    assert len(shown[2]) <= 60
