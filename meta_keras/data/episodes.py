"""Few-shot episodes as a `tf.data` pipeline whose episode i is a pure function of (seed, i)."""

import numpy as np
import tensorflow as tf

from meta_keras.errors import SettingError


def sample_episode(drawings, seed, index, nway, kshot, nquery):
    """Draws episode number `index`.

    Classes are drawn without replacement, and of every class K + Q different drawings: support
    and query are disjoint. Blank drawings, places left over in a smaller class, are never drawn.
    Counter-based random numbers make the episode a pure function of `(seed, index)`, whatever was
    drawn before it and on whatever machine.

    Args:
        drawings: uint8 `[classes, drawings a class, H, W]`, ink 255.
        seed: int64 scalar.
        index: int64 scalar.
        nway: N, classes.
        kshot: K, support drawings a class.
        nquery: Q, query drawings a class.

    Returns:
        `(x, y)` of one episode as in `EpisodicLearner`, images `[.., H, W, 1]` float32 in [0, 1].
    """
    classes, chosen = choose(drawings, seed, index, nway, kshot + nquery)
    images = tf.gather_nd(drawings, tf.stack([classes, chosen], axis=-1))
    images = tf.cast(images[..., None], tf.float32) / 255.0

    def flatten(part):
        return tf.reshape(part, [-1, *part.shape[2:]])

    labels = tf.repeat(tf.range(nway)[:, None], kshot + nquery, axis=1)
    x = {
        "support_images": flatten(images[:, :kshot]),
        "support_labels": flatten(labels[:, :kshot]),
        "query_images": flatten(images[:, kshot:]),
    }
    return x, flatten(labels[:, kshot:])


def choose(drawings, seed, index, nway, per_class):
    """Draws the classes and the drawings of episode number `index`, see `sample_episode`.

    Returns:
        Two int32 `[nway, per_class]`: the class and the number of every drawing.
    """
    class_seed, drawing_seed = (tf.random.fold_in([seed, index], purpose) for purpose in (0, 1))
    # The places of the largest of uniform numbers are a draw without replacement.
    classes = tf.math.top_k(
        tf.random.stateless_uniform([drawings.shape[0]], class_seed), nway
    ).indices
    inked = tf.reduce_any(tf.gather(drawings, classes) > 0, axis=[2, 3])
    uniform = tf.random.stateless_uniform(inked.shape, drawing_seed)
    chosen = tf.math.top_k(tf.where(inked, uniform, -1.0), per_class).indices
    return tf.broadcast_to(classes[:, None], chosen.shape), chosen


def episodes(drawings, nway, kshot, nquery, *, seed, count, start=0, meta_batch=1):
    """A dataset of the episodes `start ... start + count - 1` of the stream `seed`.

    Args:
        drawings: uint8 `[classes, drawings a class, H, W]`, ink 255. Where a class has fewer
            drawings than others, the rest are blank.
        nway, kshot, nquery: N, K, Q.
        seed: int, names the stream.
        count: number of episodes, a multiple of `meta_batch`.
        start: number of the first one, so that a run can resume.
        meta_batch: B, episodes a batch.

    Returns:
        A `tf.data.Dataset` of `(x, y)` batches as in `EpisodicLearner`.

    Raises:
        SettingError: the drawings do not suffice for N, K and Q, or a number is out of range.
        ValueError: the drawings have another shape or dtype.
    """
    check_episodes(drawings, nway, kshot, nquery, count, start, meta_batch)
    # As a tensor the drawings are an input of the pipeline, not a constant copied into its graph.
    drawings = tf.constant(drawings)
    return (
        tf.data.Dataset.range(start, start + count)
        .map(
            lambda index: sample_episode(
                drawings, tf.constant(seed, tf.int64), index, nway, kshot, nquery
            ),
            num_parallel_calls=2,
        )
        .batch(meta_batch, drop_remainder=True)
        .prefetch(4)
    )


def check_episodes(drawings, nway, kshot, nquery, count, start, meta_batch):
    """Raises the errors of `episodes`."""
    if len(drawings.shape) != 4 or drawings.dtype != "uint8":
        raise ValueError(
            "drawings must be uint8 [classes, drawings a class, H, W], got "
            f"{tf.as_dtype(drawings.dtype).name} {list(drawings.shape)}."
        )
    num_classes = drawings.shape[0]
    for name, value in (
        ("nway", nway),
        ("kshot", kshot),
        ("nquery", nquery),
        ("meta_batch", meta_batch),
        ("count", count),
    ):
        if value < 1:
            raise SettingError(f"{name} must be at least 1, got {name}={value}.")
    if start < 0:
        raise SettingError(f"start must not be negative, got start={start}.")
    if nway > num_classes:
        raise SettingError(f"nway={nway} is more than the {num_classes} classes there are.")
    per_class = np.asarray(drawings).any(axis=(2, 3)).sum(axis=1).min()
    if kshot + nquery > per_class:
        raise SettingError(
            f"kshot={kshot} and nquery={nquery} together need {kshot + nquery} drawings a class, "
            f"there are {per_class}."
        )
    if count % meta_batch:
        raise SettingError(f"count={count} is not a multiple of meta_batch={meta_batch}.")
