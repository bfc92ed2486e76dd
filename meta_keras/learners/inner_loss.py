"""The loss that a learner adapts with."""

import keras
import tensorflow as tf


def inner_loss_of(learner, name, value):
    """A check for `keras.losses.Loss`es of the support set: the default for None, names resolved.

    Args:
        learner: it is for, for messages.
        name: of the argument.
        value: a loss, its name, or None: the cross-entropy of class labels, from logits.

    Returns:
        A `keras.losses.Loss`.

    Raises:
        ValueError: it is something else, or does not give one number for a support set.
    """
    if value is None:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    loss = value
    if isinstance(value, str):
        # A name in the form of a class, "MeanSquaredError", or of a function.
        loss = keras.losses.get("".join(part.capitalize() for part in value.split("_")))
    if not isinstance(loss, keras.losses.Loss):
        raise ValueError(
            f"{type(learner).__name__}: {name} must be a keras.losses.Loss, such as "
            f"keras.losses.MeanSquaredError(), got {value!r}."
        )
    if loss.reduction in (None, "none"):
        raise ValueError(
            f"{type(learner).__name__}: {name}={loss.name!r} has reduction={loss.reduction!r}, and "
            "must give one number for a support set: 'sum_over_batch_size' or 'sum'."
        )
    return loss


def mean_loss(loss, targets, outputs):
    """A loss of one episode, in the outputs' own dtype and alone, whatever strategy is at work.

    Args:
        loss: a `keras.losses.Loss`, as of `inner_loss_of`.
        targets: `[S]` or `[S, ...]`.
        outputs: `[S, ...]`.

    Returns:
        A scalar: the mean, or for a reduction of `"sum"` the sum.
    """
    losses = loss.call(targets, outputs)
    return tf.reduce_sum(losses) if loss.reduction == "sum" else tf.reduce_mean(losses)
