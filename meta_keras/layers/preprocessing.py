"""Turns numbers of wildly different magnitude into features a network can read."""

import math

import keras
import tensorflow as tf


def log_and_sign(x, p):
    """The two features of every entry of `x`, along a new first axis.

        (log|x| / p, sgn(x))    where |x| >= exp(-p)
        (-1, exp(p) x)          elsewhere

    Andrychowicz et al. 2016, appendix A.

    Args:
        x: float tensor of any shape `S`.
        p: positive float; magnitudes below `exp(-p)` are read linearly.

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
class LogAndSign(keras.layers.Layer):
    """Log-and-sign preprocessing of gradients and losses, see `log_and_sign`.

    Args:
        p: positive float; the papers use 10.

    Input: any shape `S`. Output: `[2, *S]`, the features along the first axis.

    Raises:
        ValueError: `p` is not positive.

    Example:

    >>> LogAndSign(p=10)(keras.ops.array([1.0, -1.0])).shape
    TensorShape([2, 2])
    """

    def __init__(self, p=10.0, **kwargs):
        super().__init__(**kwargs)
        if not p > 0:
            raise ValueError(f"LogAndSign: p must be positive, got p={p!r}.")
        self.p = float(p)

    def call(self, x):
        return log_and_sign(x, self.p)

    def compute_output_shape(self, input_shape):
        return (2, *input_shape)

    def get_config(self):
        return {**super().get_config(), "p": self.p}
