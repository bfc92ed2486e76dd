"""Embeddings of pen trajectories."""

import keras
from keras import layers


def trajectory_network(units, points=64, filters=(64, 128, 128)):
    """Embeds a pen trajectory: convolutions along it, then what occurs anywhere on it.

    Mean and maximum over all points forget the order of the strokes, which drawers choose
    differently and a drawing does not show; where the pen was stays in the coordinates.

    Args:
        units: size of the embedding.
        points: length of a trajectory, as from `meta_keras.data.strokes.resample`.
        filters: widths of the convolutions.

    Returns:
        A built `keras.Model`, `[batch, points, 3] -> [batch, units]`.

    Example:

    >>> trajectory_network(16).output_shape
    (None, 16)
    """
    inputs = x = keras.Input((points, 3), name="trajectory")
    for width in filters:
        x = layers.Conv1D(width, 5, padding="same")(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
    x = layers.Concatenate()([layers.GlobalAveragePooling1D()(x), layers.GlobalMaxPooling1D()(x)])
    x = layers.Dense(filters[-1], activation="relu")(x)
    return keras.Model(inputs, layers.Dense(units)(x), name="trajectory_network")
