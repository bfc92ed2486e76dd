"""Base networks: ordinary functional Keras models from images to N logits."""

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


def conv4(
    num_classes,
    input_shape=(28, 28, 1),
    filters=32,
    downsample="pool",
    logits_initializer="glorot_uniform",
    momentum=0.1,
    epsilon=1e-3,
    dtype=None,
):
    """Four blocks of 3x3 convolution, batch normalisation and ReLU, then logits.

    With `downsample="pool"` every block ends in 2x2 max pooling: the learner of Ravi & Larochelle
    2017, section 5.1, in the size of the official code. With `"stride"` the convolutions have
    stride 2 instead and the last feature map is averaged: the Omniglot network of Finn et al. 2017,
    appendix A.1, several times faster. Either has 28,485 trainable weights for five classes.

    Args:
        num_classes: N, the number of logits.
        input_shape: `(height, width, channels)`, at least 16 pixels a side.
        filters: width of every block.
        downsample: `"pool"` or `"stride"`.
        logits_initializer: of the last layer's kernel. With `"zeros"` the classes of an episode
            start out alike, and one gradient step turns the layer into the class means of the
            support features; learning to learn starts far quicker from there.
        momentum: of the batch-normalisation statistics. An episode offers only a few steps to
            collect them, so it must be low (official code: 0.1 for 1-shot, 0.05 for 5-shot).
        epsilon: added to the variance in batch normalisation.
        dtype: Keras dtype or dtype policy of all layers.

    Returns:
        A built `keras.Model`, `[batch, *input_shape] -> [batch, num_classes]`.

    Raises:
        ValueError: the image is smaller than 16 pixels a side, or `downsample` is unknown.

    Example:

    >>> conv4(5).count_params() - 2 * 4 * 32  # without the statistics
    28485
    """
    if min(input_shape[:2]) < 16:
        raise ValueError(f"conv4 needs images of at least 16x16, got input_shape={input_shape!r}.")
    if downsample not in ("pool", "stride"):
        raise ValueError(f"downsample must be 'pool' or 'stride', got {downsample!r}.")
    pool = downsample == "pool"
    inputs = x = keras.Input(input_shape, name="image")
    for block in range(1, 5):
        x = layers.Conv2D(
            filters, 3, 1 if pool else 2, padding="same", dtype=dtype, name=f"conv{block}"
        )(x)
        x = layers.BatchNormalization(
            momentum=momentum, epsilon=epsilon, dtype=dtype, name=f"norm{block}"
        )(x)
        x = layers.ReLU(dtype=dtype, name=f"relu{block}")(x)
        if pool:
            x = layers.MaxPooling2D(2, dtype=dtype, name=f"pool{block}")(x)
    flatten = layers.Flatten if pool else layers.GlobalAveragePooling2D
    x = flatten(dtype=dtype, name="features")(x)
    outputs = layers.Dense(
        num_classes, kernel_initializer=logits_initializer, dtype=dtype, name="logits"
    )(x)
    return keras.Model(inputs, outputs, name="conv4")
