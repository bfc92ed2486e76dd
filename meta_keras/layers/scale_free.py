"""What an optimizer may know of a coordinate and of the time, in numbers that know no scale."""

import tensorflow as tf

COORDINATE_FEATURES, TIME_FEATURES = 9, 7


def soft_clip(x, limit=3.0):
    """x / sqrt(1 + (x / limit)^2): x where it is small, and within the limit."""
    return x * tf.math.rsqrt(1.0 + tf.square(x / limit))


def coordinate_features(gradient, parameters, means, fast, slow, factored, mean_slow, rms):
    """What is known of a coordinate, in numbers that know no scale.

        m_.9 / s, m_.5 / s, m_.99 / s, grad / s_.95, log(s_.95 / s), grad / a, m_.9 / a,
        log(s / mean s) / 3, theta / rms(theta)

    with the running means m of the gradient, the roots s_.95 and s of those of its square, the root
    a of their factored form (s for vectors), and means over the tensor; softly clipped at 3. Metz
    et al. 2022, "Practical tradeoffs between memory, compute, and performance in learned
    optimizers", appendix, https://arxiv.org/abs/2203.11860, have these among others.

    Args:
        gradient, parameters: `[n]`.
        means: `[3, n]`.
        fast, slow, factored: s_.95, s and a, `[n]`.
        mean_slow, rms: mean of s and rms of theta in the coordinate's tensor, `[n]`.

    Returns:
        `[9, n]`.
    """
    features = [
        means[1] / slow,
        means[0] / slow,
        means[2] / slow,
        gradient / fast,
        tf.math.log(fast / slow),
        gradient / factored,
        means[1] / factored,
        tf.math.log(slow / mean_slow) / 3.0,
        parameters / rms,
    ]
    return soft_clip(tf.stack(features))


def time_features(step, horizon):
    """What is known of the time: `[7]`.

        f = (t - 1) / N, f^4, 1 if N is known, log(N) / 5,      all 0 if it is not
        tanh(t / 10), tanh(t / 100), log(t) / 5,      for t after N as at N

    Args:
        step: float scalar t, 1 at the first step.
        horizon: float scalar N, 0 if it is not known.
    """
    known, length = tf.cast(horizon > 0, step.dtype), tf.maximum(horizon, 1.0)
    step = tf.where(horizon > 0, tf.minimum(step, length), step)
    done = known * (step - 1.0) / length
    features = [done, done**4, known, known * tf.math.log(length) / 5.0]
    features += [tf.tanh(step / 10.0), tf.tanh(step / 100.0), tf.math.log(step) / 5.0]
    return tf.stack(features)


def decay(step, horizon):
    """How rates go down of themselves.

        1 - (t - 1) / N, but 1 / N at least;  1 / sqrt(1 + (t - 1) / 100) where N is not known

    Args:
        step: float scalar t, 1 at the first step.
        horizon: float scalar N, 0 if it is not known.
    """
    length = tf.maximum(horizon, 1.0)
    left = tf.maximum(1.0 - (step - 1.0) / length, 1.0 / length)
    return tf.where(horizon > 0, left, tf.math.rsqrt(1.0 + (step - 1.0) / 100.0))
