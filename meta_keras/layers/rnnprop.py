"""Gradients over their running root mean square: features that know no scale."""

from typing import NamedTuple

import keras
import tensorflow as tf

from meta_keras.arguments import Constant, decay, positive
from meta_keras.layers.preprocessing import Preprocessing
from meta_keras.layers.root import smallest_normal


def rnnprop_features(gradient, m, v, step, beta=0.95, epsilon=1e-8):
    """The gradient and its running mean, both over its running root mean square.

        m_t = beta m_{t-1} + (1 - beta) grad_t        m^_t = m_t / (1 - beta^t)
        v_t = beta v_{t-1} + (1 - beta) grad_t^2      v^_t = v_t / (1 - beta^t)
        features: m^_t / sqrt(v^_t), grad_t / sqrt(v^_t)

    Lv, Jiang & Li 2017, "Learning gradient descent: better generalization and longer horizons",
    section 4.2, https://arxiv.org/abs/1703.03633: what Adam and RMSprop would do, whatever the
    gradient's scale.

    Args:
        gradient, m, v: `[P]`.
        step: float scalar t, 1 at the first step.
        beta: decay of both running means.
        epsilon: added to the root.

    Returns:
        `(features [2, P], m^_t, m_t, v_t)`.
    """
    m = beta * m + (1.0 - beta) * gradient
    v = beta * v + (1.0 - beta) * tf.square(gradient)
    correction = 1.0 - beta**step
    # The root of an exact zero has no derivative: it is taken of no less than what epsilon rounds
    # away, where the features' derivatives by the gradient are their limits, such as 1 / epsilon.
    floor = max(min(1e-30, 1e-14 * epsilon**2), smallest_normal(v.dtype))
    root = tf.sqrt(tf.maximum(v / correction, floor)) + epsilon
    mean = m / correction
    return tf.stack([mean / root, gradient / root]), mean, m, v


class RNNPropState(NamedTuple):
    """State of `RNNProp`.

    Attributes:
        m, v: running means of the gradient and of its square, `[P]`.
        step: float scalar, number of gradients read.
    """

    m: tf.Tensor
    v: tf.Tensor
    step: tf.Tensor


@keras.saving.register_keras_serializable(package="meta_keras")
class RNNProp(Preprocessing):
    """Gradient and running mean over the running root mean square, see `rnnprop_features`. F = 2.

    Args:
        beta: decay of the running means, in [0, 1); 0.95 in the paper.
        epsilon: positive float, added to the root.

    Raises:
        ValueError: an argument is out of range, or set when it has run in a graph.

    The state is an `RNNPropState`. `step` also gives m^_t, the corrected mean of the gradient.

    Example:

    >>> read, gradient = RNNProp(), keras.ops.array([3.0, -0.001])
    >>> features, state = read(gradient, read.initial_state(gradient))
    >>> [[round(float(x), 3) for x in row] for row in features]
    [[1.0, -1.0], [1.0, -1.0]]
    """

    num_features = 2
    keeps_mean = True
    bounded = True
    beta = Constant(decay)
    epsilon = Constant(positive)

    def __init__(self, beta=0.95, epsilon=1e-8):
        self.beta, self.epsilon = beta, epsilon

    def initial_state(self, parameters):
        zeros = tf.zeros_like(parameters)
        return RNNPropState(m=zeros, v=zeros, step=tf.zeros((), parameters.dtype))

    def step(self, gradient, state):
        m, v, step = state
        step = step + 1.0
        features, mean, m, v = rnnprop_features(gradient, m, v, step, self.beta, self.epsilon)
        return features, mean, RNNPropState(m, v, step)

    def get_config(self):
        return {"beta": self.beta, "epsilon": self.epsilon}
