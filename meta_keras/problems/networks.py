"""Networks of many kinds, for tasks that an optimizer is trained or tested on."""

import keras


def dense_model(shape, units, outputs, activation, initializer="glorot_uniform", last=None):
    """Dense layers, all of one activation and initialisation, on flattened inputs."""

    def layer(width, activation):
        return keras.layers.Dense(width, activation, kernel_initializer=_initializer(initializer))

    hidden = [layer(width, activation) for width in units]
    parts = [keras.layers.Flatten()] if len(shape) > 1 else []
    return keras.Sequential([keras.Input(shape), *parts, *hidden, layer(outputs, last)])


def convolutional_model(shape, filters, outputs, activation, normalized=False):
    """3x3 convolutions, each with max pooling, and logits."""
    parts = []
    for width in filters:
        parts.append(keras.layers.Conv2D(width, 3, padding="same", use_bias=not normalized))
        if normalized:
            parts.append(keras.layers.BatchNormalization())
        parts += [keras.layers.Activation(activation), keras.layers.MaxPooling2D()]
    parts += [keras.layers.Flatten(), keras.layers.Dense(outputs)]
    return keras.Sequential([keras.Input(shape), *parts])


def residual_model(shape, units, blocks, outputs, activation):
    """Dense layers after layer normalisation, each of which adds to what it was given; logits."""
    inputs = keras.Input(shape)
    x = keras.layers.Dense(units)(keras.layers.Flatten()(inputs))
    for _ in range(blocks):
        x = x + keras.layers.Dense(units, activation)(keras.layers.LayerNormalization()(x))
    return keras.Model(inputs, keras.layers.Dense(outputs)(keras.layers.LayerNormalization()(x)))


def attention_model(shape, units, heads, outputs, blocks=1, axis=1):
    """Blocks of attention and two dense layers, normalised after they are added; logits.

    Args:
        shape: `(length, ...)`: what lies at a place of the sequence is joined to one vector, of
            which every place has its own projection.
        units: width of the network.
        heads: of attention, of `units / heads` each.
        outputs: number of classes.
        blocks: how many.
        axis: 1, or 2 for columns of pictures in place of rows.
    """
    inputs = keras.Input(shape)
    x = inputs if axis == 1 else keras.layers.Permute((2, 1, 3))(inputs)
    x = keras.layers.Reshape((shape[axis - 1], -1))(x)
    x = keras.layers.EinsumDense("bti,tio->bto", (shape[axis - 1], units))(x)
    for _ in range(blocks):
        inner = keras.layers.MultiHeadAttention(heads, units // heads)(x, x)
        x = keras.layers.LayerNormalization()(x + inner)
        inner = keras.layers.Dense(units)(keras.layers.Dense(2 * units, "relu")(x))
        x = keras.layers.LayerNormalization()(x + inner)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, keras.layers.Dense(outputs)(x))


def recurrent_model(shape, layer, outputs, symbols=None):
    """An unrolled recurrent layer over the rows of pictures, or over embedded symbols; logits.

    Args:
        shape: `(length, ...)`; of symbols `(length,)`.
        layer: a recurrent layer; its kernels must be independent draws, see `ModelProblem`.
        outputs: number of classes.
        symbols: how many there are; None: the inputs are pictures.
    """
    inputs = keras.Input(shape, dtype="int32" if symbols else "float32")
    if symbols:
        x = keras.layers.Embedding(symbols, 16)(inputs)
    else:
        x = keras.layers.Reshape((shape[0], -1))(inputs)
    return keras.Model(inputs, keras.layers.Dense(outputs)(layer(x)))


def _initializer(name):
    if isinstance(name, float):
        return keras.initializers.RandomNormal(stddev=name)
    return keras.initializers.get(name)
