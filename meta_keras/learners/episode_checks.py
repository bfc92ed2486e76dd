"""What every learner asks of labels, pictures and losses, in the same words wherever they come in.

Outside a graph a check raises a `ValueError` at once. In a graph it is an assertion that runs
before any weight is changed; `in_words` makes the same `ValueError` of it.
"""

import contextlib
import re

import keras
import numpy as np
import tensorflow as tf

from meta_keras.batch_norm import only_shapes_count

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
    labels, count = tf.convert_to_tensor(labels), images.shape[1]
    if only_shapes_count():
        return tf.cast(labels, tf.int32)
    if not labels.dtype.is_integer:
        raise ValueError(
            f"{name}: support_labels must be integers from 0 to N-1, got {labels.dtype.name}; for "
            "targets that are no classes give the learner an `inner_loss`, if it has one."
        )
    if labels.shape.rank != 2 or _differ(labels.shape[1], count):
        raise ValueError(
            f"{name}: support_labels must be one label for each of the {count} support_images of "
            f"an episode, got the shape {tuple(labels.shape[1:])} an episode."
        )
    if count == 0:
        raise ValueError(f"{name}: support_images are empty: there must be a picture a class.")
    labels = tf.cast(labels, tf.int64)
    size = tf.shape(labels, tf.int64)[1]
    highest = tf.reduce_max(labels)
    # More classes than pictures cannot all have one, so that S columns say everything.
    present = tf.reduce_any(
        tf.range(size) == tf.expand_dims(labels, -1), axis=1
    )  # [B, S]: whether class n has a picture
    whole = tf.reduce_all(present | (tf.range(size) > highest))
    most = tf.constant(num_classes or tf.int32.max, tf.int64)
    limit = "" if num_classes is None else f" (the learner tells {num_classes} classes apart)"
    check = _check(
        whole & (tf.reduce_min(labels) >= 0) & (highest < tf.minimum(size, most)),
        f"{name}: support_labels must be 0 to N-1 with every class in every episode{limit}, got",
        labels,
    )
    return after(check, tf.cast(labels, tf.int32))


def after(earlier, tensors):
    """A nest of tensors that in a graph are there only once another one is."""
    if tf.executing_eagerly():
        return tensors
    with tf.control_dependencies(tf.nest.flatten(earlier)):
        return tf.nest.map_structure(tf.identity, tensors)


def checked_batch(name, targets, x, num_classes, loss=None):
    """A batch of episodes, once the query labels or other targets have been checked.

    Args:
        name: of the learner, for messages.
        targets: `[B, Q]` labels, or targets in the shape of the learner's outputs `[B, Q, ...]`.
        x: the batch, with `query_images` `[B, Q, ...]`.
        num_classes: N, a number or a scalar tensor, where targets are labels; None: they are not.
        loss: the compiled loss.

    Returns:
        `x`; in a graph it is there only after the check.

    Raises:
        ValueError: they do not fit.
    """
    targets = tf.convert_to_tensor(targets)
    count = x["query_images"].shape[1]
    if targets.shape.rank < 2 or _differ(targets.shape[1], count):
        raise ValueError(
            f"{name}: query labels must be one for each of the {count} query_images of an "
            f"episode, got the shape {tuple(targets.shape[1:])} an episode."
        )
    if num_classes is None or targets.shape.rank > 2:
        return x
    if _is_elementwise(loss):
        raise ValueError(
            f"{name}: loss={_name_of(loss)!r} compares values one by one, and the query labels are "
            "class numbers; use SparseCategoricalCrossentropy(from_logits=True), or one-hot labels."
        )
    if not targets.dtype.is_integer:
        raise ValueError(
            f"{name}: query labels must be integers from 0 to N-1, got {targets.dtype.name}."
        )
    targets, num_classes = tf.cast(targets, tf.int64), tf.cast(num_classes, tf.int64)
    check = _check(
        (tf.reduce_min(targets) >= 0) & (tf.reduce_max(targets) < num_classes),
        f"{name}: query labels must be classes of the support set, 0 to N-1, got",
        targets,
    )
    return after(check, x)


def checked_targets(name, targets, images, dtype):
    """Targets of the support pictures that are no classes, as floats.

    Args:
        name: of the learner, for messages.
        targets: `[B, S]` or `[B, S, ...]`, numbers.
        images: `[B, S, ...]`.
        dtype: of the result.

    Raises:
        ValueError: they are no numbers, or not as many as pictures.
    """
    targets, count = tf.convert_to_tensor(targets), images.shape[1]
    if not (targets.dtype.is_integer or targets.dtype.is_floating or targets.dtype.is_bool):
        raise ValueError(f"{name}: support_labels must be numbers, got {targets.dtype.name}.")
    if targets.shape.rank < 2 or _differ(targets.shape[1], count):
        raise ValueError(
            f"{name}: support_labels must be one target for each of the {count} support_images of "
            f"an episode, got the shape {tuple(targets.shape[1:])} an episode."
        )
    if count == 0:
        raise ValueError(f"{name}: support_images are empty: there must be a picture at least.")
    return tf.cast(targets, dtype)


def checked_images(name, argument, images, network, dtype):
    """Pictures as a tensor, checked against what the network takes.

    Args:
        name, argument: of the learner and of the argument, for messages.
        images: `[n, ...]`, numbers of any type.
        network: a `keras.Model`.
        dtype: of the result.

    Raises:
        ValueError: they are no numbers, or of another shape.
    """
    images = tf.convert_to_tensor(images)
    if not (images.dtype.is_integer or images.dtype.is_floating):
        raise ValueError(f"{name}: {argument} must be numbers, got {images.dtype.name}.")
    expected = getattr(network, "input_shape", (None,))[1:]  # Subclassed models have none.
    if expected and not images.shape[1:].is_compatible_with(expected):
        raise ValueError(
            f"{name}: {argument} must be of the shape [n, {', '.join(map(str, expected))}] that "
            f"network {network.name!r} takes, got {tuple(images.shape)}."
        )
    return tf.cast(images, dtype)


def check_loss(name, loss, from_logits=True):
    """Refuses a loss that takes the learner's outputs for something else than they are.

    Args:
        name: of the learner, for messages.
        loss: as `compile` takes it.
        from_logits: whether the learner's outputs are logits; None: neither they nor
            probabilities.

    Raises:
        ValueError: it does.
    """
    loss = _resolved(loss)
    if loss is None or from_logits is None:
        return
    takes_logits = None
    if isinstance(loss, keras.losses.Loss):
        with contextlib.suppress(NotImplementedError):
            takes_logits = loss.get_config().get("from_logits")
    elif _is_of_keras(loss) and "crossentropy" in loss.__name__:
        takes_logits = False
    if takes_logits is not None and bool(takes_logits) != from_logits:
        outputs, other = ("logits", "probabilities")[:: 1 if from_logits else -1]
        kind = "".join(part.capitalize() for part in _name_of(loss).split("_"))
        raise ValueError(
            f"{name}: loss={_name_of(loss)!r} takes {other}, and the outputs are {outputs}; use "
            f"keras.losses.{kind}(from_logits={from_logits})."
        )


def _differ(one, other):
    return None not in (one, other) and one != other


def _resolved(loss):
    if isinstance(loss, (list, tuple)) and len(loss) == 1:
        loss = loss[0]
    if loss is None or isinstance(loss, (list, tuple, dict)):
        return None
    return keras.losses.get(loss)


def _is_of_keras(thing):
    return (getattr(thing, "__module__", None) or "").split(".")[0] == "keras"


def _is_elementwise(loss):
    """Whether a loss of Keras compares targets and outputs of the same shape."""
    loss = _resolved(loss)
    kind = type(loss) if isinstance(loss, keras.losses.Loss) else loss
    return _is_of_keras(kind) and not kind.__name__.lower().startswith("sparse")


def _name_of(loss):
    loss = _resolved(loss)
    return getattr(loss, "name", None) or getattr(loss, "__name__", None) or str(loss)


def _check(holds, message, values):
    if tf.executing_eagerly():
        if not bool(holds):
            raise ValueError(f"{message} {_shown(np.unique(values).tolist())}.")
        return []
    found = tf.unique(tf.reshape(values, [-1]))[0]
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
