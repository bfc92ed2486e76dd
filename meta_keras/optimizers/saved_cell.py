"""A cell as a Keras model."""

import keras


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
