"""Hand-made optimizers as cells: the baselines a learned optimizer must beat."""

import keras
import tensorflow as tf

from meta_keras.layers.cell import Cell


class _DescentCell(Cell):
    """A cell with a fixed learning rate and no weights."""

    def __init__(self, learning_rate=0.01, **kwargs):
        super().__init__(**kwargs)
        if not learning_rate > 0:
            raise ValueError(
                f"{type(self).__name__}: learning_rate must be positive, "
                f"got learning_rate={learning_rate!r}."
            )
        self.learning_rate = float(learning_rate)

    def get_config(self):
        return {**super().get_config(), "learning_rate": self.learning_rate}


def gradient_descent_update(gradient, parameters, learning_rate):
    """theta_t = theta_{t-1} - alpha grad_t."""
    return parameters - learning_rate * gradient


@keras.saving.register_keras_serializable(package="meta_keras")
class GradientDescentCell(_DescentCell):
    """Plain gradient descent with a fixed learning rate; it has neither weights nor state.

    Args:
        learning_rate: positive float, the step size alpha.

    Raises:
        ValueError: `learning_rate` is not positive.

    Example:

    >>> cell = GradientDescentCell(learning_rate=0.5)
    >>> theta, state = cell(keras.ops.ones(3), keras.ops.zeros(()), keras.ops.ones(3), ())
    >>> [float(value) for value in theta]
    [0.5, 0.5, 0.5]
    """

    def call(self, gradient, loss, parameters, state):
        return gradient_descent_update(gradient, parameters, self.learning_rate), state


def nesterov_update(gradient, parameters, velocity, learning_rate, momentum):
    """v_t = mu v_{t-1} - alpha grad_t;  theta_t = theta_{t-1} + mu v_t - alpha grad_t.

    The form of Sutskever et al. 2013 in which the gradient is taken at the parameters themselves,
    as Keras' SGD has it.
    """
    velocity = momentum * velocity - learning_rate * gradient
    return parameters + momentum * velocity - learning_rate * gradient, velocity


@keras.saving.register_keras_serializable(package="meta_keras")
class NesterovCell(_DescentCell):
    """Nesterov's accelerated gradient with momentum 0.9, see `nesterov_update`.

    Args:
        learning_rate: positive float, the step size alpha.

    Raises:
        ValueError: `learning_rate` is not positive.
    """

    MOMENTUM = 0.9

    def initial_state(self, parameters):
        return tf.zeros_like(parameters)

    def call(self, gradient, loss, parameters, state):
        return nesterov_update(gradient, parameters, state, self.learning_rate, self.MOMENTUM)


def rmsprop_update(gradient, parameters, v, learning_rate, rho, epsilon):
    """v_t = rho v_{t-1} + (1 - rho) grad_t^2;  theta_t = theta_{t-1} - alpha grad_t / sqrt(v_t).

    Tieleman & Hinton 2012; epsilon is added to v_t, as in Keras.
    """
    v = rho * v + (1.0 - rho) * tf.square(gradient)
    return parameters - learning_rate * gradient / tf.sqrt(v + epsilon), v


@keras.saving.register_keras_serializable(package="meta_keras")
class RMSpropCell(_DescentCell):
    """RMSprop with Keras' rho = 0.9 and epsilon = 1e-7, see `rmsprop_update`.

    Args:
        learning_rate: positive float, the step size alpha.

    Raises:
        ValueError: `learning_rate` is not positive.
    """

    RHO, EPSILON = 0.9, 1e-7

    def initial_state(self, parameters):
        return tf.zeros_like(parameters)

    def call(self, gradient, loss, parameters, state):
        return rmsprop_update(
            gradient, parameters, state, self.learning_rate, self.RHO, self.EPSILON
        )


def adam_update(gradient, parameters, m, v, step, learning_rate, beta_1, beta_2, epsilon):
    """Kingma & Ba 2015, algorithm 1, with the bias corrections in the rate as in section 2.

    m_t = beta_1 m_{t-1} + (1 - beta_1) grad_t
    v_t = beta_2 v_{t-1} + (1 - beta_2) grad_t^2
    alpha_t = alpha sqrt(1 - beta_2^t) / (1 - beta_1^t)
    theta_t = theta_{t-1} - alpha_t m_t / (sqrt(v_t) + epsilon)
    """
    m = beta_1 * m + (1.0 - beta_1) * gradient
    v = beta_2 * v + (1.0 - beta_2) * tf.square(gradient)
    rate = learning_rate * tf.sqrt(1.0 - beta_2**step) / (1.0 - beta_1**step)
    return parameters - rate * m / (tf.sqrt(v) + epsilon), m, v


@keras.saving.register_keras_serializable(package="meta_keras")
class AdamCell(_DescentCell):
    """Adam with the paper's beta_2 = 0.999 and Keras' epsilon 1e-7, see `adam_update`.

    Args:
        learning_rate: positive float, the step size alpha.
        beta_1: decay of the mean gradient, in [0, 1); the paper's 0.9 by default. With 0 there is
            no momentum (Nichol et al. 2018).

    Raises:
        ValueError: an argument is out of range.
    """

    BETA_2, EPSILON = 0.999, 1e-7

    def __init__(self, learning_rate=0.01, beta_1=0.9, **kwargs):
        super().__init__(learning_rate, **kwargs)
        if not 0 <= beta_1 < 1:
            raise ValueError(f"AdamCell: beta_1 must be in [0, 1), got beta_1={beta_1!r}.")
        self.beta_1 = float(beta_1)

    def initial_state(self, parameters):
        zeros = tf.zeros_like(parameters)
        return zeros, zeros, tf.zeros((), parameters.dtype)

    def call(self, gradient, loss, parameters, state):
        m, v, step = state
        step = step + 1.0
        parameters, m, v = adam_update(
            gradient,
            parameters,
            m,
            v,
            step,
            self.learning_rate,
            self.beta_1,
            self.BETA_2,
            self.EPSILON,
        )
        return parameters, (m, v, step)

    def get_config(self):
        return {**super().get_config(), "beta_1": self.beta_1}
