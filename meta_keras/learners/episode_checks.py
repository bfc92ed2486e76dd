"""What every learner asks of labels and pictures, in the same words wherever they come in.

Outside a graph a check raises a `ValueError` at once. In a graph it is an assertion that runs
before any weight is changed; `in_words` makes the same `ValueError` of it.
"""

import contextlib
import re

import numpy as np
import tensorflow as tf

from meta_keras.batch_norm import only_shapes_count
from meta_keras.functional import input_shape

_MARK = "meta_keras says: "


def checked_labels(name, labels, images, num_classes=None):
    """Labels of the support pictures of a batch of episodes, checked.

    Every episode has the classes 0 ... N-1, each with a picture at least.

    Args:
        name: of the learner, for messages.
        labels: `[B, S]`, of any integer type.
        images: `[B, S, ...]`.
        num_classes: how many classes the learner can tell apart; None: any number.

    Returns:
        int32 `[B, S]`.

    Raises:
        ValueError: they are something else.
    """
    labels, what = tf.convert_to_tensor(labels), f"{name}: support_labels"
    if only_shapes_count():
        return tf.cast(labels, tf.int32)
    if not labels.dtype.is_integer:
        raise ValueError(
            f"{what} must be integers from 0 to N-1, got {labels.dtype.name}; for "
            "targets that are no classes give the learner an `inner_loss`, if it has one."
        )
    check_count(what, "label", "support_images", labels, images, rank=2)
    given, labels = labels, tf.cast(labels, tf.int64)
    size = tf.shape(labels, tf.int64)[1]
    highest = tf.reduce_max(labels)
    # More classes than pictures cannot all have one, so that S columns say everything.
    present = tf.reduce_any(
        tf.range(size) == tf.expand_dims(labels, -1), axis=1
    )  # [B, S]: whether class n has a picture
    whole = tf.reduce_all(present | (tf.range(size) > highest))
    most = tf.constant(num_classes or tf.int32.max, tf.int64)
    limit = "" if num_classes is None else f" (the learner tells {num_classes} classes apart)"
    holds = check(
        whole & (tf.reduce_min(labels) >= 0) & (highest < tf.minimum(size, most)),
        f"{what} must be 0 to N-1 with every class in every episode{limit}, got",
        given,
    )
    return after(holds, tf.cast(labels, tf.int32))


def after(earlier, tensors):
    """A nest of tensors that in a graph are there only once another one is."""
    if tf.executing_eagerly():
        return tensors
    with tf.control_dependencies(tf.nest.flatten(earlier)):
        return tf.nest.map_structure(tf.identity, tensors)


def check_count(what, each, pictures, values, images, rank=None):
    """Refuses labels or other targets that are not one for each picture of an episode.

    Args:
        what: they are, with the learner's name, for messages.
        each: what one of them is called.
        pictures: what the pictures are called.
        values: tensor `[B, n, ...]`.
        images: `[B, n, ...]`.
        rank: how many axes the values have, if that is certain.

    Raises:
        ValueError: they are not as many, or there are none at all.
    """
    shape, count = values.shape, images.shape[1]
    if shape.rank is None:  # Keras relaxes the shapes of a step that it traces again.
        raise ValueError(f"{what} have another number of axes than before: call `compile` again.")
    fits = shape.rank >= 2 and shape[1:2].is_compatible_with([count])
    if not fits or rank not in (None, shape.rank):
        raise ValueError(
            f"{what} must be one {each} for each of the {count} {pictures} of an episode, got the "
            f"shape {tuple(shape[1:])} an episode."
        )
    if not shape[:1].is_compatible_with(images.shape[:1]):
        raise ValueError(
            f"{what} must be of as many episodes as {pictures}, got {shape[0]} and "
            f"{images.shape[0]}."
        )
    if count == 0:
        learner = what.split(":")[0]
        raise ValueError(f"{learner}: {pictures} are empty: there must be a picture a class.")


def part_of(name, x, key):
    """A part of a batch, in words if there is none.

    Args:
        name: of the learner, for messages.
        x: the batch.
        key: of the part.

    Raises:
        ValueError: the batch is no dict, or has no such part.
    """
    if not isinstance(x, dict):
        raise ValueError(
            f"{name}: a batch of episodes must be a dict with {key!r}, got a {type(x).__name__}."
        )
    if key not in x:
        raise ValueError(f"{name}: a batch of episodes must have {key!r}, got {sorted(x)}.")
    return x[key]


def check_images(name, argument, images, network, axes=("n",)):
    """Refuses pictures that a network does not take, as far as types and shapes tell.

    Args:
        name, argument: of the learner and of the argument, for messages.
        images: an array or a tensor `[n, ...]`.
        network: a `keras.Model`.
        axes: names of the axes before those of a picture; `("B", "n")` for a batch of episodes.

    Raises:
        ValueError: they are no numbers, none, or of another shape.
    """
    dtype, shape = tf.as_dtype(images.dtype), tf.TensorShape(images.shape)
    if not (dtype.is_integer or dtype.is_floating or dtype.is_bool):
        raise ValueError(f"{name}: {argument} must be numbers, got {dtype.name}.")
    expected = (input_shape(network) or ())[1:]
    if expected and not shape[len(axes) :].is_compatible_with(expected):
        raise ValueError(
            f"{name}: {argument} must be of the shape [{', '.join(map(str, (*axes, *expected)))}] "
            f"that network {network.name!r} takes, got {tuple(shape)}."
        )
    if shape[len(axes) - 1 : len(axes)] == [0]:
        raise ValueError(f"{name}: {argument} are empty, got the shape {tuple(shape)}.")


def check_parts(name, x, networks):
    """Refuses a batch of episodes that lacks a part, or has one that a network does not take.

    Args:
        name: of the learner, for messages.
        x: the batch, with parts `[B, n, ...]`.
        networks: dict from the names of parts to the `keras.Model`s that take them.

    Raises:
        ValueError: see above.
    """
    episodes = tf.TensorShape([None])
    for argument, network in networks.items():
        part = part_of(name, x, argument)
        if only_shapes_count():
            continue
        check_images(name, argument, part, network, ("B", "n"))
        if not episodes.is_compatible_with(part.shape[:1]):
            raise ValueError(
                f"{name}: {' and '.join(networks)} must be of as many episodes, got {episodes[0]} "
                f"and {part.shape[0]}."
            )
        episodes = tf.TensorShape(part.shape[:1])


def checked_images(name, argument, images, network, dtype):
    """Pictures `[n, ...]` as a tensor of a type, checked like those of a batch: see `check_images`.

    Raises:
        ValueError: a network does not take them.
    """
    images = tf.convert_to_tensor(images)
    check_images(name, argument, images, network)
    return tf.cast(images, dtype)


def check(holds, message, values):
    """Raises a `ValueError` where something does not hold; in a graph, an assertion that does.

    Args:
        holds: bool scalar.
        message: what the values are to be, "got" at its end.
        values: integers, of which the message tells.

    Returns:
        What has to be there before what depends on it, see `after`.
    """
    if tf.executing_eagerly():
        if not bool(holds):
            raise ValueError(f"{message} {_shown(np.unique(values).tolist())}.")
        return []
    found = tf.unique(tf.reshape(tf.cast(values, tf.int64), [-1]))[0]
    return [tf.debugging.Assert(holds, [f"{_MARK}{message}", found], summarize=20)]


def _shown(values):
    text = ", ".join(map(str, values[:20]))
    return f"[{text}{', ...' if len(values) > 20 else ''}]"


@contextlib.contextmanager
def in_words():
    """Raises the `ValueError` of a check that failed in a graph, without TensorFlow's own words."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = re.search(rf"{_MARK}(.*?)['\]]* ?\[(.*?)\]", error.message, re.DOTALL)
        if not found:
            raise
        message = ValueError(f"{found[1]} [{', '.join(found[2].split())}].")
    else:
        return
    raise message
