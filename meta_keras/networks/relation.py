"""What a relation network compares feature maps with."""

import keras
from keras import layers

from meta_keras.networks.convolutional import convolution_block


def relation_module(
    map_shape=(5, 5, 64), filters=64, units=8, momentum=0.9, epsilon=1e-3, dtype=None
):
    """The relation module of Sung et al. 2018 (figure 3): two feature maps to one logit.

    Two blocks of 3x3 convolution, batch normalisation, ReLU and 2x2 max pooling, a hidden layer and
    the logit, which the paper's sigmoid is not applied to.

    Args:
        map_shape: `(h, w, C)` of one of the two feature maps, at least 4x4.
        filters: width of the blocks.
        units: width of the hidden layer.
        momentum, epsilon, dtype: as in `conv4_embedding`.

    Returns:
        A built `keras.Model`, `[batch, h, w, 2 C] -> [batch, 1]`.

    Raises:
        ValueError: the feature maps are smaller than 4x4.

    Example:

    >>> relation_module().input_shape
    (None, 5, 5, 128)
    """
    if min(map_shape[:2]) < 4:
        raise ValueError(
            f"relation_module needs maps of at least 4x4, got map_shape={map_shape!r}."
        )
    inputs = x = keras.Input((*map_shape[:2], 2 * map_shape[2]), name="pair")
    for block in (1, 2):
        x = convolution_block(x, block, filters, momentum, epsilon, dtype)
        x = layers.MaxPooling2D(2, dtype=dtype, name=f"pool{block}")(x)
    x = layers.Flatten(dtype=dtype, name="features")(x)
    x = layers.Dense(units, activation="relu", dtype=dtype, name="hidden")(x)
    outputs = layers.Dense(1, dtype=dtype, name="logit")(x)
    return keras.Model(inputs, outputs, name="relation_module")
