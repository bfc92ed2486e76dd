"""What a model must be to be a problem: a function of its weights and its input alone."""

import keras
import numpy as np
import tensorflow as tf

from meta_keras.batch_norm import all_layers
from meta_keras.errors import SettingError


def check_declarations(model):
    """Refuses what layers declare beyond their output and the problem's loss would drop.

    Args:
        model: a built `keras.Model`.

    Raises:
        SettingError: it has regularisers, constraints, or weights of several dtypes.
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
    constrained = [v.path for v in model.trainable_variables if getattr(v, "constraint", None)]
    if constrained:
        raise SettingError(
            f"model {model.name!r} has constraints ({', '.join(constrained)}), which a cell's "
            "steps would not keep; leave them out."
        )
    dtypes = sorted({v.dtype for v in model.trainable_variables})
    if len(dtypes) > 1:
        raise SettingError(
            f"model {model.name!r} has weights of several dtypes ({', '.join(dtypes)}); all must "
            "have the same."
        )


def check_behaviour(model, x, takes_training):
    """Runs a model twice on a batch, and refuses what is not a function of weights and input.

    Args:
        model: a built `keras.Model`.
        x: a batch of its input.
        takes_training: whether its `call` does.

    Returns:
        Its output in training, a tensor.

    Raises:
        SettingError: it adds losses, has state of its own, is random, or has several outputs.
    """
    (outputs, losses, changed), (again, _, _) = (_run(model, x, takes_training) for _ in range(2))
    if not tf.is_tensor(outputs):
        raise SettingError(
            f"model {model.name!r} must have one output, a tensor, not a {type(outputs).__name__}."
        )
    if losses:
        raise SettingError(
            f"model {model.name!r} has layers that add losses ({', '.join(losses)}), which the "
            "problem's loss would not contain; leave them out."
        )
    if changed:
        raise SettingError(
            f"model {model.name!r} has random state (dropout) or other state that changes as it "
            f"runs ({', '.join(changed)}): it would be the same at every step; leave it out."
        )
    if not np.allclose(outputs, again, rtol=1e-3, equal_nan=True):
        raise SettingError(
            f"model {model.name!r} has random layers: of the same input it gave two different "
            "outputs; leave them out."
        )
    return outputs


def _run(model, x, takes_training):
    """Output, names of layers with losses, and of variables that would have changed."""
    with keras.StatelessScope(collect_losses=True) as scope:
        outputs = model(x, **({"training": True} if takes_training else {}))
        layers = [layer for layer in all_layers(model) if layer is not model]
        losses = [layer.name for layer in layers if layer.losses] or [model.name] * bool(
            model.losses
        )
        after = [(v, scope.get_current_value(v)) for v in model.non_trainable_variables]
    # The moving statistics of batch normalisation are not used in training.
    unused = {
        id(v)
        for layer in layers
        if isinstance(layer, keras.layers.BatchNormalization)
        for v in layer.non_trainable_variables
    }
    changed = [
        v.path
        for v, value in after
        if value is not None and id(v) not in unused and not np.array_equal(value, v)
    ]
    return outputs, losses, changed


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
