"""Plain gradient descent as a cell."""

import keras

from meta_keras.layers.fixed_rate import FixedRateCell


def gradient_descent_update(gradient, parameters, learning_rate):
    """theta_t = theta_{t-1} - alpha grad_t."""
    return parameters - learning_rate * gradient


@keras.saving.register_keras_serializable(package="meta_keras")
class GradientDescentCell(FixedRateCell):
    """Plain gradient descent with a fixed learning rate; it has neither weights nor state.

    Args:
        learning_rate: positive float, the step size alpha.

    Raises:
        ValueError: `learning_rate` is not positive.

    Call arguments: `gradient` and `parameters` `[P]`; `loss` and `state` are not used. Returns
    `(parameters, state)`.

    Example:

    >>> cell = GradientDescentCell(learning_rate=0.5)
    >>> theta, state = cell(keras.ops.ones(3), keras.ops.zeros(()), keras.ops.ones(3), ())
    >>> [float(value) for value in theta]
    [0.5, 0.5, 0.5]
    """

    def call(self, gradient, loss, parameters, state):
        return gradient_descent_update(gradient, parameters, self.learning_rate), state
