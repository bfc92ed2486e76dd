"""What the query labels and other targets of a batch must be.

A loss or a metric of Keras compares outputs `[B, Q, N]` either with class numbers `[B, Q]` or with
values `[B, Q, N]`. Of targets of other shapes some are broadcast in silence.
"""

import tensorflow as tf

from meta_keras.learners.class_loss import ClassLoss
from meta_keras.learners.episode_checks import after, check, check_count, part_of
from meta_keras.measures import compares_with, name_of


def checked_targets(name, targets, images, dtype, outputs, loss):
    """Targets of the support pictures that are no classes, as floats.

    Args:
        name: of the learner, for messages.
        targets: `[B, S]` or `[B, S, ...]`, numbers.
        images: `[B, S, ...]`.
        dtype: of the result.
        outputs: N of the network's outputs `[batch, N]`.
        loss: the inner loss. What targets one takes that is not Keras' own is its own affair.

    Raises:
        ValueError: they are no numbers, not as many as pictures, or of another shape than the
            outputs.
    """
    targets, what = tf.convert_to_tensor(targets), f"{name}: support_labels"
    if not (targets.dtype.is_integer or targets.dtype.is_floating or targets.dtype.is_bool):
        raise ValueError(f"{what} must be numbers, got {targets.dtype.name}.")
    check_count(what, "target", "support_images", targets, images)
    if compares_with(loss) == "values":
        _check_values(what, targets, outputs)
    return tf.cast(targets, dtype)


def checked_batch(name, targets, x, outputs, tells_classes, loss=None, metrics=()):
    """A batch of episodes, once the query labels or other targets have been checked.

    Args:
        name: of the learner, for messages.
        targets: `[B, Q]` labels, or targets in the shape of the learner's outputs `[B, Q, N]`.
        x: the batch, with `query_images` `[B, Q, ...]`.
        outputs: N, a number or a scalar tensor.
        tells_classes: whether outputs stand for classes, so that the targets of a loss that is not
            Keras' own are labels.
        loss: the compiled loss, as from `measures.resolved_loss`.
        metrics: the compiled metrics, as from `measures.resolved_metrics`.

    Returns:
        `x`; in a graph it is there only after the check.

    Raises:
        ValueError: they do not fit.
    """
    targets, what = tf.convert_to_tensor(targets), f"{name}: query labels"
    check_count(what, "label", "query_images", targets, part_of(name, x, "query_images"))
    kind = _kind(loss)
    if kind is None and tells_classes:
        kind = "labels" if targets.shape.rank == 2 or targets.shape[2:] == [1] else "values"
    for role, measure in (("loss", loss), *(("metric", metric) for metric in metrics)):
        _check_measure(f"{name}: {role}={name_of(measure)!r}", measure, targets, outputs)
    if kind == "values":
        return after(_check_values(what, targets, outputs), x)
    if kind is None:
        return x
    if not targets.dtype.is_integer:
        raise ValueError(f"{what} must be integers from 0 to N-1, got {targets.dtype.name}.")
    labels = tf.cast(targets, tf.int64)
    right = (tf.reduce_min(labels) >= 0) & (tf.reduce_max(labels) < tf.cast(outputs, tf.int64))
    message = f"{what} must be classes of the support set, 0 to N-1, got"
    return after(check(right, message, targets), x)


def checked_weights(name, weights, x):
    """Weights of episodes or of query pictures, as `[B, 1]` or `[B, Q]`.

    Args:
        name: of the learner, for messages.
        weights: `[B]` or `[B, Q]`.
        x: the batch, with `query_images` `[B, Q, ...]`.

    Raises:
        ValueError: they have another shape.
    """
    weights = tf.convert_to_tensor(weights)
    images = part_of(name, x, "query_images")
    allowed = episodes, pictures = images.shape[:1], images.shape[:2]
    if weights.shape.rank is None or not any(map(weights.shape.is_compatible_with, allowed)):
        raise ValueError(
            f"{name}: sample_weight must be [B], of episodes, or [B, N*Q], of query pictures, here "
            f"{tuple(episodes)} or {tuple(pictures)}, got the shape {weights.shape}."
        )
    return weights[:, None] if weights.shape.rank == 1 else weights


def _kind(measure):
    """`compares_with`, which does not know of the package's own losses."""
    return "labels" if isinstance(measure, ClassLoss) else compares_with(measure)


def _check_measure(what, measure, targets, outputs):
    """Refuses a loss or metric of Keras that takes another kind of targets."""
    kind = _kind(measure)
    are_numbers = targets.shape.rank == 2 or targets.shape[2:] == [1]
    if kind == "labels" and not are_numbers:
        raise ValueError(
            f"{what} takes class numbers, and the query labels have the shape "
            f"{tuple(targets.shape[1:])} an episode; use one for one-hot labels, such as "
            "CategoricalCrossentropy(from_logits=True) or CategoricalAccuracy()."
        )
    if kind == "values" and are_numbers and targets.dtype.is_integer and not _is_one(outputs):
        raise ValueError(
            f"{what} compares values one by one, and the query labels are class numbers; use one "
            "for class numbers, such as SparseCategoricalCrossentropy(from_logits=True) or "
            "SparseCategoricalAccuracy(), or one-hot labels."
        )


def _check_values(what, targets, outputs):
    """A check that targets `[B, n, N]` are as wide as the outputs; `[B, n]` do for one output."""
    shape = targets.shape
    message = f"{what} must be as many values as there are outputs for a picture"
    if shape.rank == 2 and _is_one(outputs):
        return []
    if shape.rank != 3:
        raise ValueError(f"{message}, got the shape {tuple(shape[1:])} an episode.")
    return check(tf.shape(targets)[2] == outputs, f"{message}, got", tf.shape(targets)[2:])


def _is_one(outputs):
    return not tf.is_symbolic_tensor(outputs) and int(outputs) == 1
