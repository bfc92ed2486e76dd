"""ResNet-12: the residual network of few-shot learning on photographs."""

import keras
from keras import layers

from meta_keras.networks.convolutional import normalized

SLOPE = 0.1  # of the leaky ReLU below 0


def residual_block(x, number, filters, dropout, momentum, epsilon, dtype):
    """pool(leaky_relu(f(x) + g(x))): f of three 3x3 convolutions, g of one 1x1 convolution.

    Each convolution is without bias, and batch normalisation follows it; between those of f are
    leaky ReLUs.
    """

    def convolution(x, size, name):
        name = f"block{number}_{name}"
        x = layers.Conv2D(
            filters, size, padding="same", use_bias=False, dtype=dtype, name=f"{name}_conv"
        )(x)
        return layers.BatchNormalization(
            momentum=momentum, epsilon=epsilon, dtype=dtype, name=f"{name}_norm"
        )(x)

    def leaky_relu(x, name):
        return layers.LeakyReLU(SLOPE, dtype=dtype, name=f"block{number}_{name}_relu")(x)

    f = leaky_relu(convolution(x, 3, "first"), "first")
    f = leaky_relu(convolution(f, 3, "second"), "second")
    f = convolution(f, 3, "third")
    g = convolution(x, 1, "shortcut")
    x = leaky_relu(layers.Add(dtype=dtype, name=f"block{number}_sum")([f, g]), "sum")
    x = layers.MaxPooling2D(2, dtype=dtype, name=f"block{number}_pool")(x)
    if dropout:
        x = layers.Dropout(dropout, dtype=dtype, name=f"block{number}_dropout")(x)
    return x


def resnet12(
    input_shape=(84, 84, 3),
    filters=(64, 160, 320, 640),
    dropout=0.0,
    maps=False,
    momentum=0.9,
    epsilon=1e-5,
    dtype=None,
    normalization=None,
):
    """Four residual blocks of three convolutions each, then the average over the places.

    The sizes are those of Lee et al. 2019, "Meta-learning with differentiable convex optimization",
    section 4.1, https://arxiv.org/abs/1904.03758: 12,424,320 trainable weights; with filters of 64,
    128, 256 and 512 those of Oreshkin et al. 2018, "TADAM", https://arxiv.org/abs/1805.10123. Their
    DropBlock in the last two blocks is plain dropout here, in all four.

    Args:
        input_shape: `(height, width, channels)`, at least 16 pixels a side.
        filters: widths of the blocks.
        dropout: share of numbers that are dropped after every block in training; 0: none, as
            learners that adapt the network in an inner loop want it.
        maps: whether the output is `[batch, h, w, filters]` instead of a vector.
        momentum, epsilon: of batch normalisation.
        dtype: Keras dtype or dtype policy of all layers.
        normalization: of the pictures inside the network, see `normalized`.

    Returns:
        A built `keras.Model`, `[batch, *input_shape] -> [batch, filters[-1]]`.

    Raises:
        ValueError: the image is smaller than 16 pixels a side, there are not four positive
            `filters`, or `dropout` is not in [0, 1).

    Example:

    >>> resnet12(filters=(2, 3, 4, 5)).output_shape
    (None, 5)
    """
    if min(input_shape[:2]) < 16:
        raise ValueError(
            f"resnet12 needs images of at least 16x16, got input_shape={input_shape!r}."
        )
    if len(filters) != 4 or min(filters) < 1:
        raise ValueError(f"resnet12: filters must be four positive integers, got {filters!r}.")
    if not 0 <= dropout < 1:
        raise ValueError(f"resnet12: dropout must be in [0, 1), got {dropout!r}.")
    inputs = keras.Input(input_shape, name="image")
    x = normalized(inputs, normalization, dtype)
    for number, width in enumerate(filters, start=1):
        x = residual_block(x, number, width, dropout, momentum, epsilon, dtype)
    outputs = x if maps else layers.GlobalAveragePooling2D(dtype=dtype, name="features")(x)
    return keras.Model(inputs, outputs, name="resnet12")
