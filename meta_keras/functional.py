"""A Keras model as a pure function of one flat parameter vector."""

import inspect
import math

import tensorflow as tf

from meta_keras.batch_norm import make_twice_differentiable


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
            batch-normalisation layers then compute their moments with
            `meta_keras.batch_norm.exact_moments`.

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
            make_twice_differentiable(network)
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
