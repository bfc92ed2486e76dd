"""The loss of a model's problem, in every form that `compile` takes."""

import keras
import tensorflow as tf

from meta_keras.errors import SettingError
from meta_keras.measures import name_of, resolved_loss, takes_of_outputs


class FunctionLoss(keras.losses.Loss):
    """The mean over a batch of `function(y, outputs)`, as `compile` makes it of a function."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def call(self, y_true, y_pred):
        if len(y_true.shape) == len(y_pred.shape) - 1 and y_pred.shape[-1] == 1:
            y_true = y_true[..., None]  # as in Keras: labels [batch] of outputs [batch, 1]
        return self.function(y_true, y_pred)


def get_loss(loss):
    """A `keras.losses.Loss` of itself, of its name or of a function of `(y, outputs)`."""
    if isinstance(loss, keras.losses.Loss):
        return loss
    try:
        function = keras.losses.get(loss)
    except ValueError as error:
        raise SettingError(f"loss={loss!r}: {error}") from error
    if function is None:
        raise SettingError("loss=None must be a keras.losses.Loss, a name of one or a function.")
    return function if isinstance(function, keras.losses.Loss) else FunctionLoss(function)


def check_loss(loss, given, y, outputs):
    """Refuses a loss that does not give one number for a batch, or reads logits wrongly.

    Args:
        loss: a `keras.losses.Loss`.
        given: what the user gave for it.
        y, outputs: a batch of targets and the model's outputs of it.

    Raises:
        SettingError: see above, or it cannot be computed of these targets and outputs.
    """
    low, high = float(tf.reduce_min(outputs)), float(tf.reduce_max(outputs))
    if takes_of_outputs(resolved_loss(given)) is False and not 0 <= low <= high <= 1:
        raise SettingError(
            f"loss={name_of(given)!r} takes probabilities, but the model's outputs lie between "
            f"{low:.3g} and {high:.3g}; of logits, give the class with from_logits=True."
        )
    try:
        value = loss(y, outputs)
    except Exception as error:
        raise SettingError(
            f"loss={given!r} cannot be computed of y {y.dtype.name} {tuple(y.shape)} and outputs "
            f"{tuple(outputs.shape)}: {error}"
        ) from error
    if value.shape != ():
        raise SettingError(
            f"loss={given!r} must give one number for a batch, not {tuple(value.shape)}; give it "
            "another reduction, such as 'sum_over_batch_size'."
        )
