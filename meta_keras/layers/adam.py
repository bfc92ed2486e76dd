"""Adam as a cell."""

import keras
import tensorflow as tf

from meta_keras.arguments import Constant, decay
from meta_keras.layers.fixed_rate import FixedRateCell
from meta_keras.layers.root import root


def adam_update(gradient, parameters, m, v, step, learning_rate, beta_1, beta_2, epsilon):
    """Kingma & Ba 2015, algorithm 1, with the bias corrections in the rate as in section 2.

        m_t = beta_1 m_{t-1} + (1 - beta_1) grad_t
        v_t = beta_2 v_{t-1} + (1 - beta_2) grad_t^2
        alpha_t = alpha sqrt(1 - beta_2^t) / (1 - beta_1^t)
        theta_t = theta_{t-1} - alpha_t m_t / (sqrt(v_t) + epsilon)

    https://arxiv.org/abs/1412.6980. Where all gradients were zero its derivatives are the limits of
    those nearby: by the gradient -alpha_t (1 - beta_1) / epsilon, see `root`.
    """
    m = beta_1 * m + (1.0 - beta_1) * gradient
    v = beta_2 * v + (1.0 - beta_2) * tf.square(gradient)
    rate = learning_rate * tf.sqrt(1.0 - beta_2**step) / (1.0 - beta_1**step)
    return parameters - rate * m / (root(v) + epsilon), m, v


@keras.saving.register_keras_serializable(package="meta_keras")
class AdamCell(FixedRateCell):
    """Adam with the paper's beta_2 = 0.999 and Keras' epsilon 1e-7, see `adam_update`.

    Args:
        learning_rate: positive float, the step size alpha.
        beta_1: decay of the mean gradient, in [0, 1); the paper's 0.9 by default. With 0 there is
            no momentum (Nichol et al. 2018, https://arxiv.org/abs/1803.02999).

    Raises:
        ValueError: an argument is out of range.

    Call arguments: `gradient` and `parameters` `[P]`; `loss` is not used; `state` is `(m [P],
    v [P], step scalar)`. Returns `(parameters, state)` of the same shapes.
    """

    BETA_2, EPSILON = 0.999, 1e-7
    beta_1 = Constant(decay)

    def __init__(self, learning_rate=0.01, beta_1=0.9, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = beta_1

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
