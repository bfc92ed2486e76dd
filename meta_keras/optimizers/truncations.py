"""The data sets that an `OptimizerTrainer` is trained and validated on."""

import numpy as np
import tensorflow as tf

from meta_keras.errors import SettingError


def truncations(
    count, steps, unroll_steps, seed=0, start=0, total=None, meta_batch=1, streams=None
):
    """The order of work for an `OptimizerTrainer`: truncations of optimizations, in turn.

    Truncation number i is a pure function of `(seed, i)`, so that a run can resume exactly. Each
    goes on where the one before it ended: they are for use in this order, from the first or from
    where the trainer has stopped.

    Args:
        count: number of truncations.
        steps: length of an optimization, a multiple of `unroll_steps`; or a list of them, a
            curriculum of horizons (Chen et al. 2020, "Training stronger baselines for learning to
            optimize", https://arxiv.org/abs/2010.09089): each in turn gets an equal share of the
            `total` truncations.
        unroll_steps: length of a truncation.
        seed: names the stream of optimizations.
        start: number of the first truncation.
        total: truncations of the whole training, `start + count` by default.
        meta_batch: B, optimizations side by side: an element is a truncation of each.
        streams: the numbers, from 0 to B - 1, of those that are wanted, where several replicas
            share them; all by default.

    Returns:
        A `tf.data.Dataset` of dicts of int64 `seed` and `step`, `[B]` each, and `lengths`
        `[unroll_steps, longest horizon, 0]`, which is empty: its shape tells the trainer, when it
        makes a graph, what the truncations were made for.

    Raises:
        SettingError: a horizon is not a multiple of `unroll_steps`, or there are more horizons than
            truncations.
    """
    horizons = list(steps) if isinstance(steps, (list, tuple)) else [steps]
    total = start + count if total is None else total
    for horizon in horizons:
        if unroll_steps < 1 or horizon < 1 or horizon % unroll_steps:
            raise SettingError(
                f"steps={horizon} must be a positive multiple of unroll_steps={unroll_steps}, a "
                "positive number."
            )
    if len(horizons) > total:
        raise SettingError(f"{len(horizons)} horizons are more than the {total} truncations.")
    lengths = np.array([horizon // unroll_steps for horizon in horizons])
    begins = np.arange(len(horizons)) * total // len(horizons)
    # Optimizations begun before each stage; the last one of a stage may remain unfinished.
    begun = np.cumsum([0, *-(-np.diff(begins) // lengths[:-1])])
    begins, lengths, begun = (tf.constant(a, tf.int64) for a in (begins, lengths, begun))

    streams = tf.constant(list(range(meta_batch) if streams is None else streams), tf.int64)

    def truncation(i):
        stage = tf.reduce_sum(tf.cast(i >= begins, tf.int64)) - 1
        length, number = lengths[stage], i - begins[stage]
        return {
            "seed": tf.constant(seed, tf.int64) * 1_000_000_007
            + (begun[stage] + number // length) * meta_batch
            + streams,
            "step": tf.repeat(number % length * unroll_steps, len(streams)),
            "lengths": tf.zeros([int(unroll_steps), int(max(horizons)), 0], tf.int64),
        }

    return tf.data.Dataset.range(start, start + count).map(truncation)


def validation_optimizations(seeds):
    """The data set of fresh optimizations for `OptimizerTrainer.fit(validation_data=...)`.

    Args:
        seeds: the optimizations, a list or range of ints.

    Returns:
        A `tf.data.Dataset` of dicts of int64 `seed`, `[1]`.

    Raises:
        SettingError: there are none.
    """
    if not len(seeds):
        raise SettingError("seeds: there must be an optimization at least to validate on.")
    return tf.data.Dataset.from_tensor_slices({"seed": tf.constant(list(seeds), tf.int64)[:, None]})
