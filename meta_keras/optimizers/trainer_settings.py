"""The settings of an `OptimizerTrainer`, checked wherever they are set."""

import tensorflow as tf

from meta_keras.errors import SettingError


def positive_integer(value, size):
    if value != int(value) or value < 1:
        raise SettingError("must be a positive integer.")
    return int(value)


def flag(value, size):
    if value not in (True, False):
        raise SettingError("must be True or False.")
    return bool(value)


def weights(value, size):
    """Floats, of which none is negative and not all are zero; or None."""
    if value is None:
        return None
    if not len(value) or not min(value) >= 0 or not max(value) > 0:
        raise SettingError("must not be negative nor all zero.")
    return [float(weight) for weight in value]


def problem_of_size(value, size):
    """A problem with as many parameters as the trainer; or None."""
    if value is not None and value.size != size:
        raise SettingError(f"must have {size} parameters, not {value.size}.")
    return value


# What may be changed at any time: how it is checked.
CHECKS = {
    "problem": problem_of_size,
    "validation_problem": problem_of_size,
    "unroll_steps": positive_integer,
    "second_order": flag,
    "loss_weights": weights,
    "recompute": flag,
    "horizon": positive_integer,
}


def checked(setting, value, size):
    """The value, as it will be kept, of one of `CHECKS` for a trainer of `size` parameters.

    Raises:
        SettingError: the value is not allowed.
    """
    try:
        return CHECKS[setting](value, size)
    except SettingError as error:
        raise SettingError(f"OptimizerTrainer: {setting}={value!r} {error}") from None


def refuse(**given):
    """Raises a `SettingError` if one of `given`, arguments of Keras, is not None."""
    for name, value in given.items():
        if value is not None:
            raise SettingError(
                f"OptimizerTrainer: {name}={value!r} means nothing here: the loss is that of the "
                "problem, weighted by the trainer's own loss_weights."
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
