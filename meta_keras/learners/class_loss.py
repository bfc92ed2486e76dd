"""What the package's own losses have in common: targets that are class numbers."""

import keras
import tensorflow as tf


class ClassLoss(keras.losses.Loss):
    """A loss of class numbers and logits.

    Subclasses implement `of_classes`.

    Call arguments: labels `[..., Q]` or `[..., Q, 1]` int, logits `[..., Q, N]`.

    Raises:
        ValueError: the labels have another shape, such as that of one-hot labels.
    """

    def call(self, y_true, y_pred):
        labels, expected = tf.cast(y_true, tf.int32), y_pred.shape[:-1]
        column = expected.concatenate([1])
        if not any(map(labels.shape.is_compatible_with, (expected, column))):
            raise ValueError(
                f"{type(self).__name__} takes class numbers, one for each row of the logits: "
                f"labels must be of the shape {tuple(expected)}, got {tuple(labels.shape)}."
            )
        return self.of_classes(tf.reshape(labels, tf.shape(y_pred)[:-1]), y_pred)

    def of_classes(self, labels, logits):
        """The losses `[..., Q]` of labels `[..., Q]`, int32, and logits `[..., Q, N]`."""
        raise NotImplementedError
