"""Tests of loss curves and of their mean."""

import numpy as np
import pytest
import tensorflow as tf

from meta_keras.errors import SettingError
from meta_keras.layers import CoordinatewiseLSTM, GradientDescentCell, NesterovCell
from meta_keras.metrics import mean_and_ci95
from meta_keras.optimizers import MeanCurve, loss_curves
from meta_keras.problems import Quadratic


def test_curves_of_several_rates_are_those_of_each():
    problem, cell = Quadratic(dimensions=2, batch=3), NesterovCell(0.07)
    together = loss_curves(cell, problem, [5, 6], 4, learning_rates=[0.03, 0.3])
    assert together.shape == (2, 2, 5) and cell.learning_rate == 0.07
    for rate, curves in zip((0.03, 0.3), together, strict=True):
        expected = loss_curves(NesterovCell(rate), problem, [5, 6], 4)
        np.testing.assert_allclose(curves, expected, rtol=1e-4)
    assert np.abs(together[0] - together[1]).max() > 0.1


def test_no_warning_of_a_conversion(caplog):
    """Of `Cell.prepare`, say, which has no body that could be converted."""

    class Prepared(Quadratic):
        def __init__(self):
            super().__init__(dimensions=2, batch=1)
            self.variables = [tf.TensorSpec([2])]

    loss_curves(GradientDescentCell(0.05), Prepared(), [5], steps=2)
    assert "AutoGraph" not in caplog.text


def test_loss_curves_of_gradient_descent():
    problem = Quadratic(dimensions=2, batch=1)
    curve = loss_curves(GradientDescentCell(0.05), problem, [5], steps=6)[0]
    w, y = (np.asarray(part)[0] for part in problem.coefficients(tf.constant(5, tf.int64)))
    theta = np.asarray(problem.initial_parameters(tf.constant(5, tf.int64)))
    expected = []
    for _ in range(7):
        expected.append(np.sum((w @ theta - y) ** 2))
        theta = theta - 0.05 * 2 * w.T @ (w @ theta - y)
    np.testing.assert_allclose(curve, expected, rtol=1e-4)


def test_a_failing_problem_leaves_the_cell_as_it_was():
    class Broken(Quadratic):
        def loss(self, parameters, seed, step):
            raise RuntimeError("broken")

    cell = GradientDescentCell(0.5)
    with pytest.raises(RuntimeError, match="broken"):
        loss_curves(cell, Broken(dimensions=2, batch=1), [1], 2, learning_rates=[0.1])
    assert cell.learning_rate == 0.5


def test_mean_curve_is_mean_and_interval():
    curves = np.random.default_rng(0).normal(1e3, [[1.0, 0.01, 100.0]], (6, 3)).astype("float32")
    metric = MeanCurve(3)
    np.testing.assert_array_equal(metric.mean, np.zeros(3))
    for curve in curves:
        metric.update_state(curve)
    mean, ci95 = mean_and_ci95(curves.astype("float64"))
    np.testing.assert_allclose(metric.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(metric.ci95[[0, 2]], ci95[[0, 2]], rtol=1e-3)
    metric.reset_state()
    metric.update_state(curves[0])
    np.testing.assert_array_equal(metric.mean, curves[0])
    np.testing.assert_array_equal(metric.ci95, np.zeros(3))


def test_rates_of_a_cell_without_one_are_refused():
    cell = CoordinatewiseLSTM((2,))
    with pytest.raises(SettingError, match=r"learning_rates=\[0.1\].* has no learning rate"):
        loss_curves(cell, Quadratic(dimensions=2, batch=1), [1], 2, learning_rates=[0.1])
    assert not hasattr(cell, "learning_rate")
