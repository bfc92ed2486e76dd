"""A Keras model as a pure function of one flat parameter vector."""

import functools
import inspect
import math

import keras
import tensorflow as tf


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


def has_random_state(network):
    """Whether a network has layers that draw random numbers (dropout)."""
    return any(v.name == "seed_generator_state" for v in network.non_trainable_variables)


class FlatNetwork:
    """`network` as a function of its trainable weights, joined to one vector `theta` of shape [P].

    No weight of the network is ever written: parameters and state (batch-normalisation statistics)
    go in and come out as tensors, so the runs of different episodes cannot touch each other.

    Args:
        network: a built `keras.Model`.
        second_order: whether second derivatives will be taken. To make them exact, the network's
            batch-normalisation layers then compute their moments with `exact_moments`.

    Raises:
        ValueError: `network` is not built, or has no trainable weights; or second derivatives
            through one of its layers would be wrong.
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
                _make_twice_differentiable(layer)
        self.network = network
        self.takes_training = "training" in inspect.signature(network.call).parameters
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
            training: passed on to the network if it takes it.

        Returns:
            `(logits [batch, N], state)`; the new state is a constant to any outer derivative.
        """
        logits, state = self.network.stateless_call(
            self.unflatten(parameters),
            state,
            images,
            **({"training": training} if self.takes_training else {}),
        )
        return tf.cast(logits, parameters.dtype), [tf.stop_gradient(value) for value in state]


def _make_twice_differentiable(layer):
    """Sees to it that second derivatives through a layer are right, or raises `ValueError`."""
    inexact = (keras.layers.LayerNormalization, keras.layers.GroupNormalization)
    if isinstance(layer, inexact) or getattr(layer, "synchronized", False):
        raise ValueError(
            f"layer {layer.name!r} ({type(layer).__name__}): its second derivatives are not exact "
            "in TensorFlow; use second_order=False or (not synchronized) BatchNormalization."
        )
    if uses_batch_statistics(layer):
        if not hasattr(layer, "_moments"):
            raise ValueError(
                f"layer {layer.name!r}: this Keras' {type(layer).__name__} is not known to have "
                "exact second derivatives; use second_order=False."
            )
        # On the layer itself, not in a class of our own: any network will do, and what is saved
        # of it stays plain Keras.
        layer._moments = functools.partial(exact_moments, layer)


def uses_batch_statistics(layer):
    """Whether the layer, in training, normalises with the statistics of the batch."""
    return isinstance(layer, keras.layers.BatchNormalization) and layer.trainable


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
        if any(uses_batch_statistics(part) for part in layer._flatten_layers(include_self=False)):
            raise ValueError(f"layer {layer.name!r} has batch normalisation inside")
        pairs.append((layer, type(layer).from_config(layer.get_config())))
        return pairs[-1][1]

    def call(layer, x, **kwargs):
        if uses_batch_statistics(layer):
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
        if uses_batch_statistics(cloned):
            cloned.moving_mean.assign(tf.zeros_like(cloned.moving_mean))
            cloned.moving_variance.assign(tf.ones_like(cloned.moving_variance) - cloned.epsilon)
    return copy
