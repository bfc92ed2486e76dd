"""Four blocks of convolution: the base networks of the few-shot papers."""

import keras
from keras import layers

# Of the pictures of ImageNet, red, green and blue in [0, 1]; natural pictures elsewhere are alike.
PHOTOGRAPHS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def normalized(x, normalization, dtype=None):
    """Pictures of which every channel is normalised: `(x - mean) / deviation`.

    Args:
        x: `[batch, H, W, C]`.
        normalization: `(mean, deviation)` of every channel, as `PHOTOGRAPHS`; None: `x` as it is.
        dtype: Keras dtype or dtype policy.
    """
    if normalization is None:
        return x
    mean, deviation = normalization
    return layers.Normalization(
        mean=list(mean), variance=[d**2 for d in deviation], dtype=dtype, name="normalization"
    )(x)


def convolution_block(x, number, filters, momentum, epsilon, dtype, strides=1, padding="same"):
    """3x3 convolution, batch normalisation and ReLU; the number is in the names of the layers."""
    x = layers.Conv2D(filters, 3, strides, padding=padding, dtype=dtype, name=f"conv{number}")(x)
    x = layers.BatchNormalization(
        momentum=momentum, epsilon=epsilon, dtype=dtype, name=f"norm{number}"
    )(x)
    return layers.ReLU(dtype=dtype, name=f"relu{number}")(x)


def conv4(
    num_classes,
    input_shape=(28, 28, 1),
    filters=32,
    downsample="pool",
    pools=None,
    logits_initializer="glorot_uniform",
    normalize_features=False,
    momentum=0.1,
    epsilon=1e-3,
    dtype=None,
    normalization=None,
):
    """Four blocks of 3x3 convolution, batch normalisation and ReLU, then logits.

    With `downsample="pool"` blocks end in 2x2 max pooling: with all four of them the learner of
    Ravi & Larochelle 2017, section 5.1, in the size of the official code; with `pools=3` a 28x28
    picture has nine times as many features, from which a few steps of the logits learn more. With
    `"stride"` the convolutions have stride 2 instead and the last feature map is averaged: the
    Omniglot network of Finn et al. 2017, appendix A.1, several times faster. It has 28,485
    trainable weights for five classes, as with four pools. Larger pictures leave more features:
    84x84 in three channels 800 of them, and 32,901 weights.

    Args:
        num_classes: N, the number of logits.
        input_shape: `(height, width, channels)`, at least 16 pixels a side.
        filters: width of every block.
        downsample: `"pool"` or `"stride"`.
        pools: the number of blocks that end in pooling, the first ones: 4 by default; not to be
            given with `"stride"`, which has none.
        logits_initializer: of the last layer's kernel. With `"zeros"` the classes of an episode
            start out alike, and one gradient step turns the layer into the class means of the
            support features; learning to learn starts far quicker from there.
        normalize_features: a last batch normalisation, without weights, between the features and
            the logits. Features that come out of a ReLU have a large mean in common; a gradient
            step on the logits turns it into a preference for some classes, which a first-order
            meta-gradient cannot learn to avoid.
        momentum: of the batch-normalisation statistics. An episode offers only a few steps to
            collect them, so it must be low (official code: 0.1 for 1-shot, 0.05 for 5-shot).
        epsilon: added to the variance in batch normalisation.
        dtype: Keras dtype or dtype policy of all layers.
        normalization: `(mean, deviation)` of every channel of the pictures, see `normalized`.

    Returns:
        A built `keras.Model`, `[batch, *input_shape] -> [batch, num_classes]`.

    Raises:
        ValueError: the image is smaller than 16 pixels a side, `downsample` is unknown, or `pools`
            is not 0 to 4 or does not go with it.

    Example:

    >>> conv4(5).count_params() - 2 * 4 * 32  # without the statistics
    28485
    """
    if min(input_shape[:2]) < 16:
        raise ValueError(f"conv4 needs images of at least 16x16, got input_shape={input_shape!r}.")
    if downsample not in ("pool", "stride"):
        raise ValueError(f"downsample must be 'pool' or 'stride', got {downsample!r}.")
    pool = downsample == "pool"
    if pools not in (range(5) if pool else ()) and pools is not None:
        raise ValueError(
            "conv4: pools must be 0 to 4 with downsample='pool' and not given with 'stride', got "
            f"{pools!r}."
        )
    inputs = keras.Input(input_shape, name="image")
    x = normalized(inputs, normalization, dtype)
    for block in range(1, 5):
        x = convolution_block(x, block, filters, momentum, epsilon, dtype, strides=1 if pool else 2)
        if pool and (pools is None or block <= pools):
            x = layers.MaxPooling2D(2, dtype=dtype, name=f"pool{block}")(x)
    flatten = layers.Flatten if pool else layers.GlobalAveragePooling2D
    x = flatten(dtype=dtype, name="features")(x)
    if normalize_features:
        x = layers.BatchNormalization(
            momentum=momentum,
            epsilon=epsilon,
            center=False,
            scale=False,
            dtype=dtype,
            name="features_norm",
        )(x)
    outputs = layers.Dense(
        num_classes, kernel_initializer=logits_initializer, dtype=dtype, name="logits"
    )(x)
    return keras.Model(inputs, outputs, name="conv4")


def conv4_embedding(
    input_shape=(28, 28, 1),
    filters=64,
    maps=False,
    pools=4,
    momentum=0.9,
    epsilon=1e-3,
    dtype=None,
    normalization=None,
):
    """Four blocks of 3x3 convolution, batch normalisation and ReLU: the metric learners' network.

    Every block ends in 2x2 max pooling, and the output is a vector: 64 numbers for a 28x28 picture
    (Vinyals et al. 2016, Snell et al. 2017). With `pools=3` the last block does not, which leaves
    3x3 places: 576 numbers. With `maps` the output is feature maps for a relation
    network: only the first two blocks pool, and do not pad, as in the official code of Sung et al.
    2018; 5x5 for a 28x28 picture.

    Args:
        input_shape: `(height, width, channels)`, at least 16 pixels a side.
        filters: width of every block.
        maps: whether the output is `[batch, h, w, filters]` instead of a vector.
        pools: the number of blocks that end in pooling, the first ones; 2 with `maps`.
        momentum: of the batch-normalisation statistics, which are those of all training episodes.
        epsilon: added to the variance in batch normalisation.
        dtype: Keras dtype or dtype policy of all layers.
        normalization: `(mean, deviation)` of every channel of the pictures, see `normalized`.

    Returns:
        A built `keras.Model`.

    Raises:
        ValueError: the image is smaller than 16 pixels a side, or `pools` is not 0 to 4.

    Example:

    >>> conv4_embedding().output_shape, conv4_embedding(maps=True).output_shape
    ((None, 64), (None, 5, 5, 64))
    """
    if min(input_shape[:2]) < 16:
        raise ValueError(
            f"conv4_embedding needs images of at least 16x16, got input_shape={input_shape!r}."
        )
    if pools not in range(5):
        raise ValueError(f"conv4_embedding: pools must be 0 to 4, got {pools!r}.")
    inputs = keras.Input(input_shape, name="image")
    x = normalized(inputs, normalization, dtype)
    for block in range(1, 5):
        pad = not maps or block > 2
        x = convolution_block(
            x, block, filters, momentum, epsilon, dtype, padding="same" if pad else "valid"
        )
        if block <= (2 if maps else pools):
            x = layers.MaxPooling2D(2, dtype=dtype, name=f"pool{block}")(x)
    outputs = x if maps else layers.Flatten(dtype=dtype, name="features")(x)
    return keras.Model(inputs, outputs, name="conv4_embedding")
