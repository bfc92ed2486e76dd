"""The loss that a learner adapts with."""

import keras
import numpy as np
import tensorflow as tf

from meta_keras.measures import compares_with, is_of_keras


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
    loss, argument = value, f"{type(learner).__name__}: {name}"
    if isinstance(value, str) or (not isinstance(value, type) and callable(value)):
        loss = _class_of(value)
    if not isinstance(loss, keras.losses.Loss):
        raise ValueError(
            f"{argument} must be a keras.losses.Loss, such as "
            f"keras.losses.MeanSquaredError(), or the name of one of Keras', got {value!r}."
        )
    if type(loss).__call__ is not keras.losses.Loss.__call__:
        raise ValueError(
            f"{argument}={loss.name!r} must say what it is in `call`, one number a picture; its "
            "own `__call__` would not be heeded."
        )
    if getattr(loss, "ignore_class", None) is not None:
        raise ValueError(
            f"{argument}={loss.name!r} has ignore_class={loss.ignore_class!r}: every support "
            "picture counts; leave it out."
        )
    if loss.dtype not in (keras.config.floatx(), learner.variable_dtype):
        raise ValueError(
            f"{argument}={loss.name!r} has dtype={loss.dtype!r}, and the learner computes in "
            f"{learner.variable_dtype}; leave it out."
        )
    if loss.reduction in (None, "none"):
        raise ValueError(
            f"{argument}={loss.name!r} has reduction={loss.reduction!r}, and "
            "must give one number for a support set: 'sum_over_batch_size' or 'sum'."
        )
    if is_of_keras(type(loss)) and not _is_told_by_its_config(loss):
        raise ValueError(
            f"{argument}={loss.name!r}: what Keras saves of it lacks an argument, so that a loaded "
            "learner would adapt by another loss; write a keras.losses.Loss with a get_config of "
            "its own."
        )
    return loss


def _is_told_by_its_config(loss):
    """Whether a loss of Keras that is made of its configuration gives the same."""
    rng = np.random.default_rng(0)
    outputs = rng.uniform(0.1, 0.9, (4, 4))
    labels = compares_with(loss) == "labels"
    targets = np.array([0, 1, 2, 0]) if labels else rng.uniform(0.1, 0.9, (4, 4))
    copy = type(loss).from_config(loss.get_config())
    return np.array_equal(*(each.call(targets, outputs) for each in (loss, copy)), equal_nan=True)


def _class_of(loss):
    """A loss that is named in any of Keras' ways, or is one of its functions; None if none is."""
    try:
        function = keras.losses.get(loss)
    except ValueError:
        return None
    if isinstance(function, keras.losses.Loss) or not is_of_keras(function):
        return function
    name = function.__name__.replace("_", "")
    classes = {key.lower(): value for key, value in vars(keras.losses).items()}
    return classes[name]()


def mean_loss(loss, targets, outputs):
    """A loss of one episode, in the outputs' own dtype and alone, whatever strategy is at work.

    Args:
        loss: a `keras.losses.Loss`, as of `inner_loss_of`.
        targets: `[S]` or `[S, ...]`.
        outputs: `[S, N]`.

    Returns:
        A scalar: the mean, or for a reduction of `"sum"` the sum.
    """
    if len(targets.shape) == 1 and tuple(outputs.shape[1:]) == (1,):
        targets = targets[:, None]  # Against [S, 1] a loss would broadcast them.
    losses = loss.call(targets, outputs)
    return tf.reduce_sum(losses) if loss.reduction == "sum" else tf.reduce_mean(losses)
