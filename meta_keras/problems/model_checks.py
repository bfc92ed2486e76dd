"""What a model must be to be a problem: a function of its weights and its input alone."""

import numpy as np
import tensorflow as tf

from meta_keras.batch_norm import all_layers
from meta_keras.errors import SettingError
from meta_keras.functional import observe


def check_declarations(model):
    """Refuses what layers declare beyond their output and the problem's loss would drop.

    Args:
        model: a built `keras.Model`.

    Raises:
        SettingError: it has regularisers, or weights of several dtypes.
    """
    regular = [v.path for v in model.trainable_variables if getattr(v, "regularizer", None)]
    regular += [
        layer.name for layer in all_layers(model) if getattr(layer, "activity_regularizer", None)
    ]
    if regular:
        raise SettingError(
            f"model {model.name!r} has regularisers ({', '.join(regular)}), which the problem's "
            "loss would not contain; leave them out."
        )
    dtypes = sorted({v.dtype for v in model.trainable_variables})
    if len(dtypes) > 1:
        raise SettingError(
            f"model {model.name!r} has weights of several dtypes ({', '.join(dtypes)}); all must "
            "have the same."
        )


def check_behaviour(model, x):
    """Runs a model on a batch, and refuses what is not a function of weights and input.

    Args:
        model: a built `keras.Model`.
        x: a batch of its input.

    Returns:
        Its output in training, a tensor.

    Raises:
        SettingError: it adds losses, has state of its own, is random, or has several outputs.
    """
    found = observe(model, x)
    if not tf.is_tensor(found.outputs):
        kind = type(found.outputs).__name__
        raise SettingError(f"model {model.name!r} must have one output, a tensor, not a {kind}.")
    if found.adds_losses:
        raise SettingError(
            f"model {model.name!r} has layers that add losses ({', '.join(found.adds_losses)}), "
            "which the problem's loss would not contain; leave them out."
        )
    if found.random:
        names = ", ".join(found.random)
        raise SettingError(
            f"model {model.name!r} draws random numbers ({names}), as dropout does: they would be "
            "the same at every step; leave it out."
        )
    if found.changes:
        raise SettingError(
            f"model {model.name!r} has state that changes as it runs ({', '.join(found.changes)}): "
            "it would be the same at every step; leave it out."
        )
    return found.outputs


def check_element(model, element):
    """Refuses a data set whose first element is no single example `(x, y)` of a model."""
    if not isinstance(element, tuple) or len(element) != 2:
        raise SettingError(
            f"data must have elements (x, y), its first is a {type(element).__name__}"
            f"{f' of {len(element)}' if isinstance(element, tuple) else ''}."
        )
    for name, part in zip("xy", element, strict=True):
        if not tf.is_tensor(part) or part.dtype == tf.string:
            kind = part.dtype.name if tf.is_tensor(part) else type(part).__name__
            raise SettingError(
                f"data must have elements (x, y) of one array of numbers each, {name} is a {kind}; "
                "models with several inputs or outputs cannot be problems."
            )
    inputs = getattr(model, "inputs", None)  # subclassed models have none
    if inputs is not None and len(inputs) != 1:
        raise SettingError(f"model {model.name!r} must have one input, it has {len(inputs)}.")
    expected = getattr(model, "input_shape", None)
    if not isinstance(expected, tuple) or isinstance(expected[0], tuple):
        return
    shape = tuple(np.shape(element[0]))
    if not tf.TensorShape(shape).is_compatible_with(expected[1:]):
        raise SettingError(
            f"data must have single examples (x, y), x of the model's input shape {expected[1:]}; "
            f"its first x has the shape {shape}. Is it batched? data.unbatch() undoes that."
        )
