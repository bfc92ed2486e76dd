"""Sine waves to regress on: the few-shot regression of Finn et al. 2017."""

import math

import tensorflow as tf

from meta_keras.errors import SettingError

AMPLITUDES = (0.1, 5.0)
PHASES = (0.0, math.pi)
INPUTS = (-5.0, 5.0)


def sample_sinusoid(seed, index, kshot, nquery):
    """Draws wave number `index`, and K + Q points of it.

        y = a sin(x - b),     a ~ U(0.1, 5), b ~ U(0, pi), x ~ U(-5, 5)

    Finn, Abbeel & Levine 2017, section 5.1, https://arxiv.org/abs/1703.03400. A pure function of
    `(seed, index)`.

    Args:
        seed, index: int64 scalars.
        kshot: K, support points.
        nquery: Q, query points.

    Returns:
        `(x, y)` of one episode as in `EpisodicLearner`: `support_images` `[K, 1]` and
        `query_images` `[Q, 1]` are the inputs, `support_labels` `[K, 1]` and `y` `[Q, 1]` the
        values, all float32.
    """
    wave, points = (tf.random.fold_in([seed, index], purpose) for purpose in (0, 1))
    a, b = tf.unstack(
        tf.random.stateless_uniform(
            [2],
            wave,
            minval=tf.constant([AMPLITUDES[0], PHASES[0]]),
            maxval=tf.constant([AMPLITUDES[1], PHASES[1]]),
        )
    )
    x = tf.random.stateless_uniform([kshot + nquery, 1], points, *INPUTS)
    y = a * tf.sin(x - b)
    support = {"support_images": x[:kshot], "support_labels": y[:kshot]}
    return {**support, "query_images": x[kshot:]}, y[kshot:]


def sinusoids(kshot=10, nquery=10, *, seed, count, start=0, meta_batch=1, every=1):
    """A dataset of the waves `start, start + every, ...` of the stream `seed`.

    Args:
        kshot, nquery: K, Q.
        seed: int, names the stream.
        count: number of episodes, a multiple of `meta_batch`.
        start: number of the first one, so that a run can resume.
        meta_batch: B, episodes a batch.
        every: so many workers, each with a `start` of its own, share the stream.

    Returns:
        A `tf.data.Dataset` of `(x, y)` batches, see `sample_sinusoid`.

    Raises:
        SettingError: a number is out of range.
    """
    numbers = {"kshot": kshot, "nquery": nquery, "count": count, "meta_batch": meta_batch}
    for name, value in numbers.items():
        if value < 1:
            raise SettingError(f"{name} must be at least 1, got {name}={value}.")
    if start < 0:
        raise SettingError(f"start must not be negative, got start={start}.")
    if count % meta_batch:
        raise SettingError(f"count={count} is not a multiple of meta_batch={meta_batch}.")

    def batch(first):
        # One after the other in one graph: calling it for each would cost more than its work.
        stream = tf.constant(seed, tf.int64)
        numbers = [first + i * every for i in range(meta_batch)]
        drawn = [sample_sinusoid(stream, number, kshot, nquery) for number in numbers]
        return tf.nest.map_structure(lambda *parts: tf.stack(parts), *drawn)

    firsts = tf.data.Dataset.range(start, start + count * every, meta_batch * every)
    return firsts.map(batch, num_parallel_calls=2).prefetch(4)
