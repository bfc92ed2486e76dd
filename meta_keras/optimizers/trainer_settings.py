"""The settings of an `OptimizerTrainer` that are its own, and what it takes of Keras."""

import tensorflow as tf

from meta_keras.arguments import refusal
from meta_keras.batch_norm import adding_losses
from meta_keras.errors import SettingError


def weights(trainer, name, value):
    """A check for floats, of which none is negative and not all are zero; or None."""
    if value is None:
        return None
    if not len(value) or not min(value) >= 0 or not max(value) > 0:
        raise refusal(trainer, name, value, "not be negative nor all zero")
    return [float(weight) for weight in value]


def problem_of_size(trainer, name, value):
    """A check for a problem with as many parameters as the trainer; or None."""
    if value is not None and value.size != trainer.size:
        raise refusal(trainer, name, value, f"have {trainer.size} parameters, not {value.size}")
    return value


def penalties(cell, variables):
    """What the regularisers of a cell's trainable weights add to the loss: a list of scalars.

    Raises:
        SettingError: a layer of the cell adds a loss of its activations.
    """
    adding = adding_losses(cell)
    if adding:
        raise SettingError(
            f"OptimizerTrainer: layer {adding[0].name!r} of the cell adds a loss of its "
            "activations (add_loss, or an activity_regularizer), which a run would count wrongly; "
            "leave it out. Regularisers of weights are taken into account."
        )
    return [v.regularizer(v) for v in variables if v.regularizer is not None]


def refuse(**given):
    """Raises a `SettingError` if one of `given`, arguments of Keras, is not None."""
    for name, value in given.items():
        if value is not None:
            raise SettingError(
                f"OptimizerTrainer: {name}={value!r} means nothing here: the loss is that of the "
                "problem, weighted by the trainer's own loss_weights."
            )


def refuse_replicas(strategy):
    """Raises a `SettingError` if a `tf.distribute.Strategy` has several replicas."""
    if strategy.num_replicas_in_sync > 1:
        raise SettingError(
            "OptimizerTrainer: one replica only, as a truncation carries on what the one before it "
            f"left; the tf.distribute strategy has {strategy.num_replicas_in_sync}."
        )


def number(data, name):
    """The int64 scalar of a name in one element of `truncations`.

    Raises:
        SettingError: the data are not of that kind.
    """
    if not isinstance(data, dict) or data[name].shape.num_elements() not in (None, 1):
        raise SettingError(
            "OptimizerTrainer: `x` must be what truncations or validation_optimizations give, "
            "dicts of one seed and one step, without targets and weights."
        )
    return tf.cast(tf.reshape(data[name], []), tf.int64)
