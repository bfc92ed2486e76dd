"""Nesterov's accelerated gradient as a cell."""

import keras
import tensorflow as tf

from meta_keras.layers.fixed_rate import FixedRateCell


def nesterov_update(gradient, parameters, velocity, learning_rate, momentum):
    """v_t = mu v_{t-1} - alpha grad_t;  theta_t = theta_{t-1} + mu v_t - alpha grad_t.

    The form of Sutskever et al. 2013 (https://proceedings.mlr.press/v28/sutskever13.html) in which
    the gradient is taken at the parameters themselves, as Keras' SGD has it.
    """
    velocity = momentum * velocity - learning_rate * gradient
    return parameters + momentum * velocity - learning_rate * gradient, velocity


@keras.saving.register_keras_serializable(package="meta_keras")
class NesterovCell(FixedRateCell):
    """Nesterov's accelerated gradient with momentum 0.9, see `nesterov_update`.

    Args:
        learning_rate: positive float, the step size alpha.

    Raises:
        ValueError: `learning_rate` is not positive.

    Call arguments: `gradient` and `parameters` `[P]`; `loss` is not used; `state` is the velocity
    `[P]`. Returns `(parameters, state)` of the same shapes.

    Example:

    >>> cell, ones = NesterovCell(learning_rate=0.5), keras.ops.ones(3)
    >>> theta, velocity = cell(ones, keras.ops.zeros(()), ones, cell.initial_state(ones))
    >>> [round(float(value), 3) for value in theta]
    [0.05, 0.05, 0.05]
    """

    MOMENTUM = 0.9

    def initial_state(self, parameters):
        return tf.zeros_like(parameters)

    def call(self, gradient, loss, parameters, state):
        return nesterov_update(gradient, parameters, state, self.learning_rate, self.MOMENTUM)
