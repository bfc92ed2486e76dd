"""A Keras model as a pure function of one flat parameter vector."""

import functools
import math

import keras
import tensorflow as tf


def exact_moments(layer, inputs, mask):
    """Mean and variance for `keras.layers.BatchNormalization`, differentiable any number of times.

    `tf.nn.moments`, which Keras calls, holds the mean constant inside the variance. That leaves
    the first derivative right and makes the second one wrong: d2 var / dx_i dx_j loses -2 / n^2.
    """
    if mask is not None or layer.synchronized:
        return type(layer)._moments(layer, inputs, mask)
    mean = tf.reduce_mean(inputs, layer._reduction_axes, keepdims=True)
    variance = tf.reduce_mean(tf.math.squared_difference(inputs, mean), layer._reduction_axes)
    return tf.squeeze(mean, layer._reduction_axes), variance


class FlatNetwork:
    """`network` as a function of its trainable weights, joined to one vector `theta` of shape [P].

    Nothing is ever written to the network: parameters and state (batch-normalisation statistics)
    go in and come out as tensors, so the runs of different episodes cannot touch each other.

    Args:
        network: a built `keras.Model`.
        second_order: whether second derivatives will be taken. They are then exact for a network
            with batch normalisation too, see `exact_moments`.

    Raises:
        ValueError: `network` is not built, or has no trainable weights.
    """

    def __init__(self, network, second_order=False):
        if not network.built:
            raise ValueError(
                f"network {network.name!r} is not built: call it once on data, or call "
                "network.build(input_shape), before making a learner of it."
            )
        if not network.trainable_variables:
            raise ValueError(f"network {network.name!r} has no trainable weights to adapt.")
        if second_order:
            for layer in network._flatten_layers():
                if isinstance(layer, keras.layers.BatchNormalization):
                    # On the layer itself, not in a class of our own: any network will do, and
                    # what is saved of it stays plain Keras.
                    layer._moments = functools.partial(exact_moments, layer)
        self.network = network
        self.shapes = [tuple(variable.shape) for variable in network.trainable_variables]
        self.sizes = [math.prod(shape) for shape in self.shapes]
        self.size = sum(self.sizes)

    def parameters(self):
        """The network's own trainable weights as one tensor `[P]`, differentiable."""
        return tf.concat(
            [tf.reshape(variable, [-1]) for variable in self.network.trainable_variables], axis=0
        )

    def state(self):
        """The network's own non-trainable weights, a list of tensors."""
        return [tf.convert_to_tensor(v) for v in self.network.non_trainable_variables]

    def unflatten(self, parameters):
        """`[P]` -> list of tensors in the shapes of `network.trainable_variables`."""
        parts = tf.split(parameters, self.sizes)
        return [tf.reshape(part, shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def __call__(self, parameters, state, images, training):
        """Logits of `images` for the given parameters, and the new state.

        Args:
            parameters: `[P]`.
            state: as `state()` gives it.
            images: `[batch, ...]`, the network's input.
            training: passed on to the network.

        Returns:
            `(logits [batch, N], state)`; the new state is a constant to any outer derivative.
        """
        logits, state = self.network.stateless_call(
            self.unflatten(parameters), state, images, training=training
        )
        return tf.cast(logits, parameters.dtype), [tf.stop_gradient(value) for value in state]


def batch_statistics_clone(network):
    """A copy of `network` that normalises with batch statistics in inference too.

    Keras' batch normalisation does so in training only. Here Keras operations standardise its
    input, and the layer itself, given `neutral_statistics`, only adds gamma and beta. The copy
    consists of Keras' own layers and operations and has weights of its own, as yet untrained.

    Args:
        network: a functional or sequential `keras.Model`.

    Raises:
        ValueError: `network` is another kind of model.
    """

    def call(layer, x, **kwargs):
        if isinstance(layer, keras.layers.BatchNormalization):
            axes = [axis for axis in range(len(x.shape)) if axis != layer.axis % len(x.shape)]
            mean, variance = keras.ops.moments(x, axes, keepdims=True)
            x = (x - mean) / keras.ops.sqrt(variance + layer.epsilon)
        return layer(x, **kwargs)

    if isinstance(network, keras.Sequential):
        network = keras.Model(network.inputs, network.outputs, name=network.name)
    try:
        return keras.models.clone_model(network, call_function=call, recursive=True)
    except ValueError as error:
        raise ValueError(
            f"network {network.name!r} is neither a functional nor a sequential model, so batch "
            "statistics cannot be built into a classifier; use batch_norm='inductive'."
        ) from error


def neutral_statistics(network):
    """Statistics with which batch normalisation leaves its input alone, but for gamma and beta.

    Returns:
        A list of arrays in the order of `network.non_trainable_variables`.
    """
    neutral = {}
    for layer in network._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            neutral[id(layer.moving_mean)] = tf.zeros_like(layer.moving_mean)
            neutral[id(layer.moving_variance)] = tf.fill(
                layer.moving_variance.shape, tf.cast(1.0 - layer.epsilon, layer.variable_dtype)
            )
    return [neutral.get(id(v), v) for v in network.non_trainable_variables]
