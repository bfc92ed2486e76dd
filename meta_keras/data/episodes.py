"""Few-shot episodes as a `tf.data` pipeline whose episode i is a pure function of (seed, i)."""

import tensorflow as tf

from meta_keras.data import augmentation
from meta_keras.data.image_classes import ImageClasses
from meta_keras.errors import SettingError

AUGMENTATIONS = ("none", "crop_flip", "crop_flip_colour")


def sample_episode(classes, seed, index, nway, kshot, nquery, augment="none"):
    """Draws episode number `index`.

    Classes are drawn without replacement, and of every class K + Q different pictures: support
    and query are disjoint. Blank drawings, places left over in a smaller class, are never drawn.
    Counter-based random numbers make the episode a pure function of `(seed, index)`, whatever was
    drawn before it and on whatever machine.

    Args:
        classes: `ImageClasses`; or uint8 `[classes, drawings a class, H, W]`, ink 255.
        seed: int64 scalar.
        index: int64 scalar.
        nway: N, classes.
        kshot: K, support pictures a class.
        nquery: Q, query pictures a class.
        augment: what pictures undergo at random: `"none"`, `"crop_flip"` (see
            `augmentation.crop_flip`) or `"crop_flip_colour"` (and `augmentation.colour`).

    Returns:
        `(x, y)` of one episode as in `EpisodicLearner`, images `[.., H, W, C]` float32 in [0, 1].
    """
    classes = ImageClasses.of(classes)
    return _episode(classes, classes.reader(), seed, index, nway, kshot, nquery, augment)


def _episode(classes, read, seed, index, nway, kshot, nquery, augment):
    numbers = choose(classes.places, seed, index, nway, kshot + nquery)[1]
    images = read(numbers)
    if augment == "none":
        images = tf.cast(images, tf.float32) / 255.0
    else:
        shape = images.shape
        images = tf.reshape(images, [-1, *shape[2:]])
        images = augmentation.crop_flip(images, tf.random.fold_in([seed, index], 2))
        images = tf.cast(images, tf.float32) / 255.0
        if augment == "crop_flip_colour":
            images = augmentation.colour(images, tf.random.fold_in([seed, index], 3))
        images = tf.reshape(images, shape)

    def flatten(part):
        return tf.reshape(part, [-1, *part.shape[2:]])

    labels = tf.repeat(tf.range(nway)[:, None], kshot + nquery, axis=1)
    x = {
        "support_images": flatten(images[:, :kshot]),
        "support_labels": flatten(labels[:, :kshot]),
        "query_images": flatten(images[:, kshot:]),
    }
    return x, flatten(labels[:, kshot:])


def choose(places, seed, index, nway, per_class):
    """Draws the classes and the pictures of episode number `index`, see `sample_episode`.

    Args:
        places: int32 `[classes, most pictures of a class]` as of `ImageClasses`.
        seed, index, nway: as in `sample_episode`.
        per_class: K + Q.

    Returns:
        Two int32 `[nway, per_class]`: the class of every picture and its number, an entry of
        `places`.
    """
    class_seed, picture_seed = (tf.random.fold_in([seed, index], purpose) for purpose in (0, 1))
    # The places of the largest of uniform numbers are a draw without replacement.
    classes = tf.math.top_k(tf.random.stateless_uniform([len(places)], class_seed), nway).indices
    numbers = tf.gather(places, classes)
    uniform = tf.random.stateless_uniform(numbers.shape, picture_seed)
    chosen = tf.math.top_k(tf.where(numbers >= 0, uniform, -1.0), per_class).indices
    numbers = tf.gather(numbers, chosen, batch_dims=1)
    return tf.broadcast_to(classes[:, None], chosen.shape), numbers


def episodes(
    classes, nway, kshot, nquery, *, seed, count, start=0, meta_batch=1, every=1, augment="none"
):
    """A dataset of the episodes `start, start + every, ...` of the stream `seed`.

    Args:
        classes: `ImageClasses`; or uint8 `[classes, drawings a class, H, W]`, ink 255. Where a
            class has fewer drawings than others, the rest are blank.
        nway, kshot, nquery: N, K, Q.
        seed: int, names the stream.
        count: number of episodes, a multiple of `meta_batch`.
        start: number of the first one, so that a run can resume.
        meta_batch: B, episodes a batch.
        every: so many workers, each with a `start` of its own, share the stream.
        augment: as in `sample_episode`.

    Returns:
        A `tf.data.Dataset` of `(x, y)` batches as in `EpisodicLearner`.

    Raises:
        SettingError: the pictures do not suffice for N, K and Q, `augment` is unknown, or a number
            is out of range.
        ValueError: the drawings have another shape or dtype.
    """
    classes = ImageClasses.of(classes)
    check_episodes(classes, nway, kshot, nquery, count, start, meta_batch)
    if augment not in AUGMENTATIONS:
        raise SettingError(f"augment={augment} must be one of {', '.join(AUGMENTATIONS)}.")
    read = classes.reader()
    return (
        tf.data.Dataset.range(start, start + count * every, every)
        .map(
            lambda index: _episode(
                classes, read, tf.constant(seed, tf.int64), index, nway, kshot, nquery, augment
            ),
            num_parallel_calls=2,
        )
        .batch(meta_batch, drop_remainder=True)
        .prefetch(4)
    )


def check_episodes(classes, nway, kshot, nquery, count, start, meta_batch):
    """Raises the errors of `episodes`; `classes` are `ImageClasses`."""
    num_classes = len(classes)
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
    per_class = classes.counts.min()
    if kshot + nquery > per_class:
        raise SettingError(
            f"kshot={kshot} and nquery={nquery} together need {kshot + nquery} pictures a class, "
            f"there are {per_class}."
        )
    if count % meta_batch:
        raise SettingError(f"count={count} is not a multiple of meta_batch={meta_batch}.")
