"""Logarithm and sign: features of numbers of wildly different magnitude."""

import math

import keras
import tensorflow as tf

from meta_keras.arguments import Constant, real
from meta_keras.errors import SettingError
from meta_keras.layers.preprocessing import Preprocessing

LARGEST_P = 87  # exp(-p) must be a normal number of float32.


def check_p(reader, name, p):
    """A check for 0 < p <= `LARGEST_P`."""
    if not 0 < real(p) <= LARGEST_P:
        raise SettingError(
            f"{type(reader).__name__}: {name} must be positive and at most {LARGEST_P}, where "
            f"exp(-p) is still a float32 number, got {name}={p!r}."
        )
    return real(p)


def log_and_sign(x, p):
    """The two features of every entry of `x`, along a new first axis.

        (log|x| / p, sgn(x))    where |x| >= exp(-p)
        (-1, exp(p) x)          elsewhere

    Andrychowicz et al. 2016, appendix A, https://arxiv.org/abs/1606.04474

    Args:
        x: float tensor of any shape `S`.
        p: positive float, at most `LARGEST_P`; magnitudes below `exp(-p)` are read linearly.

    Returns:
        Tensor of shape `[2, *S]` and the dtype of `x`.
    """
    smallest = math.exp(-p)
    # The logarithm never sees anything below exp(-p), so both features and their
    # derivatives are finite everywhere, zero included.
    magnitude = tf.math.log(tf.maximum(tf.abs(x), smallest)) / p
    sign = tf.clip_by_value(x / smallest, -1.0, 1.0)
    return tf.stack([magnitude, sign])


@keras.saving.register_keras_serializable(package="meta_keras")
class LogAndSign(Preprocessing):
    """Logarithm and sign, see `log_and_sign`: Andrychowicz et al. 2016 on networks. F = 2.

    Args:
        p: positive float, at most 87; the papers use 10.

    Raises:
        SettingError: `p` is out of range, or set when it has run in a graph.

    Example:

    >>> features, state = LogAndSign(p=10)(keras.ops.array([1.0, -1.0]), ())
    >>> features.shape
    TensorShape([2, 2])
    """

    num_features = 2
    p = Constant(check_p)

    def __init__(self, p=10.0):
        self.p = p

    def step(self, gradient, state):
        return log_and_sign(gradient, self.p), None, state

    def get_config(self):
        return {"p": self.p}
