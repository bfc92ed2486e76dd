"""Tests of the pictures of optimizations."""

import numpy as np

from meta_keras.plots import figure_pixels, loss_curves_figure, loss_curves_panels


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


def test_a_panel_for_every_problem():
    curves = {"learned": {"curve": [1.0, 0.5, 0.1], "curve_ci95": [0.1, 0.1, 0.1]}}
    results = {f"problem {number}": {"optimizers": curves} for number in range(3)}
    results[r"$\frac$"] = {"optimizers": {"$^$": curves["learned"]}}
    figure = loss_curves_panels(results)
    assert figure_pixels(figure).any()
    axes = figure.axes
    titles = [a.get_title() for a in axes if a.axison]
    assert titles == [*list(results)[:3], r"\$\frac\$"]
    assert len(axes) == 6
