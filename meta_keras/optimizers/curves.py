"""Losses along optimizations."""

import keras
import numpy as np
import tensorflow as tf

from meta_keras.unroll import unroll


def loss_curve(cell, problem, seed, steps):
    """Losses along one optimization.

    Args:
        cell: any built `Cell`.
        problem: a `Problem`.
        seed: the optimization, int64 scalar.
        steps: number of steps, an int.

    Returns:
        float tensor `[steps + 1]`; entry t is the loss after t steps.
    """

    def one_step(step, losses, parameters, state):
        run = unroll(
            cell,
            lambda theta, _, carry: (problem.loss(theta, seed, step), carry),
            parameters,
            1,
            state=state,
        )
        losses = losses.write(tf.cast(step, tf.int32), run.losses[0])
        return step + 1, losses, run.parameters, run.state

    parameters = problem.initial_parameters(seed)
    losses = tf.TensorArray(parameters.dtype, steps + 1)
    _, losses, parameters, _ = tf.while_loop(
        lambda step, *_: step < steps,
        one_step,
        (tf.constant(0, tf.int64), losses, parameters, cell.initial_state(parameters)),
    )
    last = problem.loss(parameters, seed, tf.constant(steps, tf.int64))
    return losses.write(steps, last).stack()


def loss_curves(cell, problem, seeds, steps, learning_rates=None):
    """Losses along fresh optimizations.

    Args:
        cell: any built `Cell`.
        problem: a `Problem`.
        seeds: the optimizations, a list of ints.
        steps: number of steps.
        learning_rates: list of floats, tried one after the other in place of the rate of a
            `FixedRateCell`; one graph serves them all.

    Returns:
        float32 `[seeds, steps + 1]` NumPy array; entry t is the loss after t steps. With
        `learning_rates`: `[rates, seeds, steps + 1]`.
    """

    @tf.function(
        input_signature=[tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.float32)],
    )
    def curve(seed, rate):
        if learning_rates is not None:
            cell.learning_rate = rate
        return loss_curve(cell, problem, seed, steps)

    own_rate = getattr(cell, "learning_rate", None)
    try:
        curve = curve.get_concrete_function()
        curves = [
            [curve(tf.constant(seed, tf.int64), tf.constant(rate, tf.float32)) for seed in seeds]
            for rate in ([0.0] if learning_rates is None else learning_rates)
        ]
    finally:
        if learning_rates is not None:
            cell.learning_rate = own_rate
    return np.asarray(curves)[slice(None) if learning_rates is not None else 0]


@keras.saving.register_keras_serializable(package="meta_keras")
class LossCurve(keras.metrics.Metric):
    """Mean of curves and half width of its 95 % interval, for every step.

    Args:
        steps: the curves have one entry more.
    """

    def __init__(self, steps, name="curve", **kwargs):
        super().__init__(name=name, **kwargs)
        self.steps = steps
        self.count = self.add_weight(name="count", initializer="zeros")
        self.mean = self.add_weight(name="mean", shape=(steps + 1,), initializer="zeros")
        self.squares = self.add_weight(name="squares", shape=(steps + 1,), initializer="zeros")

    def update_state(self, curve):
        """Takes a curve `[steps + 1]` into account."""
        # Welford 1962: sums of squares would cancel where losses are large and alike.
        self.count.assign_add(1.0)
        difference = curve - self.mean
        self.mean.assign_add(difference / self.count)
        self.squares.assign_add(difference * (curve - self.mean))

    def result(self):
        """The mean, `[steps + 1]`."""
        return tf.convert_to_tensor(self.mean)

    def ci95(self):
        """Half width of the mean's 95 % interval, `[steps + 1]`; NaN for a single curve."""
        variance = tf.convert_to_tensor(self.squares) / (self.count - 1.0)
        return 1.96 * tf.sqrt(variance / self.count)
