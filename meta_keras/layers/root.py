"""The square root of a running mean of squares, with a derivative at zero."""

import numpy as np
import tensorflow as tf


def root(squares):
    """sqrt(v), whose derivative where v = 0 is 0.

    v is a running mean of squared gradients. Where all of them are zero the root, as a function of
    the last of them, is a constant times |g|: its derivatives from the two sides are opposite, and
    0 is their mean. It is also what makes the derivative of Adam's step m / (sqrt(v) + epsilon)
    right there, which is that of m / epsilon: the root's own share vanishes with g. (By v itself
    the root has no finite derivative.)

    Args:
        squares: float tensor of any shape, not negative. What is below the smallest normal number
            of its dtype counts as zero.

    Returns:
        Tensor of the same shape and dtype.
    """
    zero = squares < smallest_normal(squares.dtype)
    # tf.sqrt must not see a zero: 0 times its infinite derivative would be NaN.
    roots = tf.sqrt(tf.where(zero, tf.ones_like(squares), squares))
    return tf.where(zero, tf.zeros_like(squares), roots)


def smallest_normal(dtype):
    """The smallest positive number of a `tf.DType` that has all its digits, a Python float."""
    return float(np.finfo(dtype.as_numpy_dtype).tiny)
