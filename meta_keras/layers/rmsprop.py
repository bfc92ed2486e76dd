"""RMSprop as a cell."""

import keras
import tensorflow as tf

from meta_keras.layers.fixed_rate import FixedRateCell


def rmsprop_update(gradient, parameters, v, learning_rate, rho, epsilon):
    """v_t = rho v_{t-1} + (1 - rho) grad_t^2;  theta_t = theta_{t-1} - alpha grad_t / sqrt(v_t).

    Tieleman & Hinton 2012
    (https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf); epsilon is added to
    v_t, as in Keras.
    """
    v = rho * v + (1.0 - rho) * tf.square(gradient)
    return parameters - learning_rate * gradient / tf.sqrt(v + epsilon), v


@keras.saving.register_keras_serializable(package="meta_keras")
class RMSpropCell(FixedRateCell):
    """RMSprop with Keras' rho = 0.9 and epsilon = 1e-7, see `rmsprop_update`.

    Args:
        learning_rate: positive float, the step size alpha.

    Raises:
        ValueError: `learning_rate` is not positive.

    Call arguments: `gradient` and `parameters` `[P]`; `loss` is not used; `state` is v `[P]`.
    Returns `(parameters, state)` of the same shapes.
    """

    RHO, EPSILON = 0.9, 1e-7

    def initial_state(self, parameters):
        return tf.zeros_like(parameters)

    def call(self, gradient, loss, parameters, state):
        return rmsprop_update(
            gradient, parameters, state, self.learning_rate, self.RHO, self.EPSILON
        )
