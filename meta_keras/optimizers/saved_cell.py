"""A cell as a Keras model, and a cell whose weights were not saved."""

import warnings

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable(package="meta_keras")
class SavedCell(keras.Model):
    """A cell's weights as the Keras model that a preset needs, for any number of coordinates.

    Args:
        cell: a `meta_keras.layers.Cell`, as for `LearnedOptimizer`.
    """

    def __init__(self, cell, **kwargs):
        super().__init__(**kwargs)
        cell.build_once()
        self.cell = cell
        self.built = True

    def build(self, input_shape=None):
        """Nothing is left to build."""

    def get_config(self):
        return {**super().get_config(), "cell": keras.saving.serialize_keras_object(self.cell)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "cell": keras.saving.deserialize_keras_object(config["cell"])})


def warn_of_untrained(cell, weights):
    """Warns if a cell's weights still are what its configuration alone made them.

    Args:
        cell: a built `meta_keras.layers.Cell`.
        weights: list of arrays that are known to be untrained; None or empty: nothing is known.
    """
    if not weights:
        return
    with tf.init_scope():
        now = [variable.numpy() for variable in cell.variables]
    if all(np.array_equal(*pair) for pair in zip(now, weights, strict=True)):
        warnings.warn(
            "LearnedOptimizer was made of its configuration, which holds no weights: its cell is "
            "untrained. Load a .keras file or a preset.",
            stacklevel=3,
        )
