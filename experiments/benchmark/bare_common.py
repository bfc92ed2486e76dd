"""What the training steps written by hand share, without Keras and without `meta_keras`."""

import math

import tensorflow as tf

P = 10.0  # of the log-and-sign preprocessing


def cross_entropy(labels, logits):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def log_and_sign(x):
    magnitude = tf.math.log(tf.maximum(tf.abs(x), math.exp(-P))) / P
    return tf.stack([magnitude, tf.clip_by_value(x * math.exp(P), -1.0, 1.0)])


class ClippedAdam:
    """Adam with the published settings on gradients of a bounded global norm.

    Args:
        variables: list of `tf.Variable`.
    """

    def __init__(self, variables):
        self.variables = variables
        self.moments = [(tf.Variable(0 * w), tf.Variable(0 * w)) for w in variables]
        self.updates = tf.Variable(0.0)

    def __call__(self, gradients, clip_norm):
        gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)
        t = self.updates.assign_add(1.0)
        rate = 1e-3 * tf.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        for variable, gradient, (m, v) in zip(self.variables, gradients, self.moments, strict=True):
            m.assign_add(0.1 * (gradient - m))
            v.assign_add(0.001 * (gradient**2 - v))
            variable.assign_sub(rate * m / (tf.sqrt(v) + 1e-7))
