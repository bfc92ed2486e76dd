"""Batch normalisation whose statistics are those of the batch, and exact second derivatives.

Whatever this package needs to know of Keras' private names stands in this file.
"""

import functools

import keras
import tensorflow as tf
from keras.src.backend.common.symbolic_scope import in_symbolic_scope


def all_layers(model):
    """A model or layer and every layer inside it, at any depth: a list."""
    return list(model._flatten_layers())


def only_shapes_count():
    """Whether Keras traces a call for its shapes alone; then every input is a float."""
    return in_symbolic_scope()


def adding_losses(model):
    """The layers of a model that added a loss by `add_loss` when they were last called: a list."""
    return [layer for layer in all_layers(model) if layer._losses or layer._loss_ids]


def generator_states(layer):
    """The variables of the random generators that a layer holds itself: a list."""
    return [generator.state for generator in layer._seed_generators]


def uses_batch_statistics(model):
    """Whether a model or layer, in training, normalises with the statistics of the batch."""
    return any(_normalises_the_batch(layer) for layer in all_layers(model))


def _normalises_the_batch(layer):
    return isinstance(layer, keras.layers.BatchNormalization) and layer.trainable


def exact_moments(layer, inputs, mask):
    """Mean and variance for `keras.layers.BatchNormalization`, differentiable any number of times.

    `tf.nn.moments`, which Keras calls, holds the mean constant inside the variance. That leaves
    the first derivative right and makes the second one wrong: d2 var / dx_i dx_j loses -2 / n^2.
    """
    if mask is not None:
        raise ValueError(f"layer {layer.name!r}: second_order=True does not support masks.")
    mean = tf.reduce_mean(inputs, layer._reduction_axes, keepdims=True)
    variance = tf.reduce_mean(tf.math.squared_difference(inputs, mean), layer._reduction_axes)
    return tf.squeeze(mean, layer._reduction_axes), variance


def make_twice_differentiable(network):
    """Sees to it that second derivatives through a network are right.

    Its batch-normalisation layers compute their moments with `exact_moments` from now on, and
    what pools the maxima of 2x2 or other windows side by side does it with `exact_max_pool`.

    Raises:
        ValueError: second derivatives through one of its layers would be wrong.
    """
    for layer in all_layers(network):
        inexact = (keras.layers.LayerNormalization, keras.layers.GroupNormalization)
        if isinstance(layer, inexact) or getattr(layer, "synchronized", False):
            raise ValueError(
                f"layer {layer.name!r} ({type(layer).__name__}): its second derivatives are not "
                "exact in TensorFlow; use second_order=False or (not synchronized) "
                "BatchNormalization."
            )
        if isinstance(layer, keras.layers.BatchNormalization):  # It may be unfrozen later.
            if not hasattr(layer, "_moments"):
                raise ValueError(
                    f"layer {layer.name!r}: this Keras' {type(layer).__name__} is not known to "
                    "have exact second derivatives; use second_order=False."
                )
            # On the layer itself, not in a class of our own: any network will do, and what is
            # saved of it stays plain Keras.
            layer._moments = functools.partial(exact_moments, layer)
        if _pools_windows_side_by_side(layer):
            layer.call = functools.partial(exact_max_pool, layer.pool_size)


def _pools_windows_side_by_side(layer):
    return (
        isinstance(layer, keras.layers.MaxPooling2D)
        and tuple(layer.pool_size) == tuple(layer.strides)
        and (layer.padding, layer.data_format) == ("valid", "channels_last")
    )


def exact_max_pool(size, inputs):
    """Max pooling by windows side by side, with derivatives of every order that XLA gets right.

    The second derivative of TensorFlow's own is compiled by XLA to one that tells inputs apart by
    their first eight bits only, and takes another one's for the maximum's where they are close.

    Args:
        size: `(height, width)` of a window.
        inputs: `[batch, H, W, C]`.

    Returns:
        `[batch, H // height, W // width, C]`. Of several maxima the first counts.
    """
    if None in inputs.shape[1:]:
        return tf.nn.max_pool2d(inputs, size, size, "VALID")
    window = {"ksize": [1, *size, 1], "strides": [1, *size, 1], "padding": "VALID"}

    @tf.custom_gradient
    def pool(x):
        maxima = tf.nn.max_pool2d(x, size, size, "VALID")

        @tf.custom_gradient
        def gradient(upstream):
            spread = tf.raw_ops.MaxPoolGrad(
                orig_input=x, orig_output=maxima, grad=upstream, **window
            )
            return spread, lambda along: _at_the_maxima(size, x, along)

        return maxima, gradient

    return pool(inputs)


def _at_the_maxima(size, x, values):
    """Of every window of `x` the value, of `values` `[batch, H, W, C]`, where the maximum is."""
    (height, width), (_, rows, columns, channels) = size, x.shape
    rows, columns = rows // height, columns // width

    def windows(part):
        part = part[:, : rows * height, : columns * width]
        part = tf.reshape(part, [-1, rows, height, columns, width, channels])
        part = tf.transpose(part, [0, 1, 3, 5, 2, 4])
        return tf.reshape(part, [-1, rows, columns, channels, height * width])

    first = tf.one_hot(tf.argmax(windows(x), axis=-1), height * width, dtype=x.dtype)
    return tf.reduce_sum(first * windows(values), axis=-1)


def batch_statistics_clone(network, values):
    """A copy of `network` that normalises with batch statistics in inference too.

    Keras' batch normalisation does so in training only. Here Keras operations standardise its
    input, and the layer itself, given the statistics 0 and 1, only adds gamma and beta. So the
    copy consists of Keras' own layers and operations (as far as the network does).

    Args:
        network: a functional or sequential `keras.Model`; models inside it likewise.
        values: list of pairs (variable of the network, tensor): the copy's weights.

    Raises:
        ValueError: a model is of another kind.
    """
    values = {id(variable): value for variable, value in values}
    pairs = []

    def clone(layer):
        if isinstance(layer, keras.Sequential):
            layer = keras.Model(layer.inputs, layer.outputs, name=layer.name)
        if isinstance(layer, keras.Model):
            return keras.models.clone_model(layer, clone_function=clone, call_function=call)
        if any(_normalises_the_batch(part) for part in all_layers(layer) if part is not layer):
            raise ValueError(f"layer {layer.name!r} has batch normalisation inside")
        pairs.append((layer, type(layer).from_config(layer.get_config())))
        return pairs[-1][1]

    def call(layer, x, **kwargs):
        if _normalises_the_batch(layer):
            axes = [axis for axis in range(len(x.shape)) if axis != layer.axis % len(x.shape)]
            mean, variance = keras.ops.moments(x, axes, keepdims=True)
            x = (x - mean) / keras.ops.sqrt(variance + layer.epsilon)
        return layer(x, **kwargs)

    try:
        copy = clone(network)
    except ValueError as error:
        raise ValueError(
            f"network {network.name!r} does not consist of functional and sequential models and "
            f"plain layers ({error}), so batch statistics cannot be built into a classifier; use "
            "batch_norm='inductive'."
        ) from error
    for layer, cloned in pairs:
        for variable, own in zip(layer.variables, cloned.variables, strict=True):
            own.assign(values[id(variable)])
        if _normalises_the_batch(cloned):
            cloned.moving_mean.assign(tf.zeros_like(cloned.moving_mean))
            cloned.moving_variance.assign(tf.ones_like(cloned.moving_variance) - cloned.epsilon)
    return copy
