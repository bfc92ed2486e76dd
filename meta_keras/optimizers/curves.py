"""Losses along optimizations, and their mean over several."""

import keras
import numpy as np
import tensorflow as tf

from meta_keras.errors import SettingError
from meta_keras.layers.fixed_rate import FixedRateCell
from meta_keras.unroll import unroll


def loss_curve(cell, problem, seed, steps, horizon=None):
    """Losses along one fresh optimization, as a part of a graph.

    Args:
        cell: any built `Cell` whose state has the same structure and shapes after every step.
        problem: a `Problem`.
        seed: int64 scalar tensor, the optimization.
        steps: number of steps, a Python int or an int64 scalar tensor.
        horizon: the length of the run that the cell is told; None: nothing.

    Returns:
        `[steps + 1]`, of the cell's dtype; entry t is the loss after t steps.
    """

    def one_step(step, parameters, state, losses):
        def loss_fn(theta, _, carry):
            return problem.loss(theta, seed, step), carry

        run = unroll(cell, loss_fn, parameters, 1, state=state)
        losses = losses.write(tf.cast(step, tf.int32), run.losses[0])
        return step + 1, run.parameters, run.state, losses

    if problem.variables is not None:
        cell.prepare(problem.variables)
    parameters = tf.cast(problem.initial_parameters(seed), cell.compute_dtype)
    count = tf.cast(steps, tf.int32)
    losses = tf.TensorArray(parameters.dtype, count + 1)
    state = cell.initial_state(parameters)
    if horizon is not None:
        state = cell.for_horizon(state, horizon)
    _, parameters, _, losses = tf.while_loop(
        lambda step, *_: step < steps,
        one_step,
        (tf.constant(0, tf.int64), parameters, state, losses),
    )
    last = problem.loss(parameters, seed, tf.cast(steps, tf.int64))
    return tf.reshape(losses.write(count, last).stack(), [steps + 1])


def loss_curves(cell, problem, seeds, steps, learning_rates=None):
    """Losses along fresh optimizations.

    Args:
        cell: any built `Cell`, see `loss_curve`.
        problem: a `Problem`.
        seeds: the optimizations, a list of ints.
        steps: number of steps.
        learning_rates: list of floats, tried one after the other in place of the rate of a
            `FixedRateCell`; one graph serves them all.

    Returns:
        `[seeds, steps + 1]` NumPy array of the cell's dtype; entry t is the loss after t steps.
        With `learning_rates`: `[rates, seeds, steps + 1]`.

    Raises:
        SettingError: `learning_rates` are given and the cell is no `FixedRateCell`.
    """
    if learning_rates is not None and not isinstance(cell, FixedRateCell):
        raise SettingError(f"learning_rates={learning_rates!r}: {cell!r} has no learning rate.")
    dtype = cell.compute_dtype

    @tf.function(
        autograph=False,
        input_signature=[tf.TensorSpec([], tf.int64), tf.TensorSpec([], dtype)],
    )
    def curve(seed, rate):
        if learning_rates is not None:
            vars(cell)["learning_rate"] = rate  # A tensor, for this graph alone.
        return loss_curve(cell, problem, seed, steps)

    own_rate = getattr(cell, "learning_rate", None)
    try:
        curve = curve.get_concrete_function()
        curves = [
            [curve(tf.constant(seed, tf.int64), tf.constant(rate, dtype)) for seed in seeds]
            for rate in ([0.0] if learning_rates is None else learning_rates)
        ]
    finally:
        if learning_rates is not None:
            vars(cell)["learning_rate"] = own_rate
    return np.asarray(curves)[slice(None) if learning_rates is not None else 0]


class MeanCurve(keras.metrics.Metric):
    """The mean of several curves and its 95 % band, point by point.

    Args:
        points: of a curve.

    Attributes:
        mean: float32 NumPy `[points]`; zeros before the first curve.
        ci95: the half width of the interval, 1.96 s / sqrt(n) with the sample standard deviation
            s, as of `meta_keras.metrics.mean_and_ci95`; zeros before the second curve.
    """

    def __init__(self, points, name="curve", **kwargs):
        super().__init__(name=name, **kwargs)
        self.count = self.add_variable((), "zeros", name="count")
        self.total = self.add_variable((points,), "zeros", name="total")
        # Of the deviations from the mean (Welford's method): sums of squares would cancel.
        self.squares = self.add_variable((points,), "zeros", name="squares")

    def update_state(self, curve):
        """Adds a curve `[points]`."""
        curve = tf.cast(curve, self.dtype)
        before = curve - self.result()
        self.count.assign(self.count + 1.0)
        self.total.assign(self.total + curve)
        self.squares.assign(self.squares + before * (curve - self.result()))

    def result(self):
        return self.total / tf.maximum(tf.convert_to_tensor(self.count), 1.0)

    @property
    def mean(self):
        return np.asarray(self.result())

    @property
    def ci95(self):
        n = float(self.count)
        return 1.96 * np.sqrt(np.asarray(self.squares) / max(n - 1.0, 1.0) / max(n, 1.0))

    # What was measured last is no part of a model.
    def save_own_variables(self, store):
        pass

    def load_own_variables(self, store):
        pass
