"""A Keras model as a pure function of one flat parameter vector."""

import inspect
import math
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from meta_keras.batch_norm import (
    adding_losses,
    all_layers,
    generator_states,
    make_twice_differentiable,
)


class Behaviour(NamedTuple):
    """What a run of a network in training shows, see `observe`.

    Attributes:
        outputs: of the network.
        random: what draws random numbers (dropout), a list of names.
        adds_losses: names of layers that add a loss of their activations.
        changes: paths of the variables it would change, those of random generators and of batch
            normalisation left out.
    """

    outputs: Any
    random: list
    adds_losses: list
    changes: list


def observe(network, inputs):
    """Runs a network twice, in training, and leaves it as it was.

    What a layer does counts, not what it or its variables are called.

    Args:
        network: a built `keras.Model`.
        inputs: a batch.

    Returns:
        A `Behaviour`.
    """
    options = {"training": True} if takes_training(network) else {}
    runs, own = [], {id(v): v for v in network.variables}
    for _ in range(2):
        with keras.StatelessScope(collect_losses=True) as scope:
            outputs = network(inputs, **options)
            adding = [layer.name for layer in adding_losses(network)] if scope.losses else []
        runs.append((outputs, scope.state_mapping))
    outputs, after = runs[0]
    layers = all_layers(network)
    drawn_from = {id(state): layer for layer in layers for state in generator_states(layer)}
    of_norms = {
        id(v)
        for layer in layers
        if isinstance(layer, keras.layers.BatchNormalization)
        for v in layer.non_trainable_variables
    }
    changed = {
        i for i in after if i not in own or not np.array_equal(after[i], own[i], equal_nan=True)
    }
    random = [layer.name for i, layer in drawn_from.items() if i in changed]
    if not random and changed - set(own):
        random = ["a layer with Keras' global generator"]
    flat = [np.concatenate([np.ravel(x) for x in tf.nest.flatten(outputs)]) for outputs, _ in runs]
    if not random and not np.array_equal(*flat, equal_nan=True):
        random = [network.name]
    changes = [
        own[i].path for i in changed.intersection(own) if i not in of_norms | set(drawn_from)
    ]
    return Behaviour(outputs, random, adding, changes)


def random_inputs(network):
    """Two random pictures for a network, 64 wherever it takes any size.

    None if it does not tell their shape.
    """
    shape = input_shape(network)
    if shape is None:
        return None
    inputs = getattr(network, "inputs", None)
    sizes = [size or 64 for size in shape[1:]]
    pictures = np.random.default_rng(0).normal(size=(2, *sizes))
    return tf.cast(pictures, inputs[0].dtype if inputs else "float32")


def gives_probabilities(outputs):
    """Whether outputs `[batch, N]`, N at least 2, are nowhere negative and sum to 1."""
    outputs = tf.cast(outputs, "float64").numpy()
    sums = outputs.sum(axis=-1)
    return outputs.shape[-1] > 1 and outputs.min() >= 0 and bool(np.abs(sums - 1.0).max() < 1e-2)


def may_be_probabilities(outputs):
    """Whether outputs lie in [0, 1], and not all of them are 0, as the logits of a zero layer."""
    outputs = tf.cast(outputs, "float64").numpy()
    return outputs.min() >= 0 and 0 < outputs.max() <= 1


def ends_in_sigmoid(network):
    """Whether a network's last layer, if it has layers, ends in a sigmoid."""
    while getattr(network, "layers", None):
        network = network.layers[-1]
    return getattr(network, "activation", None) is keras.activations.sigmoid


def input_shape(network):
    """`(None, ...)`, the shape of a network's one input; None if it does not tell.

    Raises:
        ValueError: it has several inputs.
    """
    shape = getattr(network, "input_shape", None)
    if shape is None:  # A subclassed model only knows what it was built on.
        shape = (network.get_build_config() or {}).get("input_shape")
    if shape is None:
        return None
    if isinstance(shape, dict) or any(isinstance(part, (tuple, list)) for part in shape):
        raise ValueError(
            f"network {network.name!r} takes several inputs {shape}, and an episode has one tensor "
            "of pictures; let one input carry them all."
        )
    return tuple(shape)


def num_outputs(network):
    """N of a network to `[batch, N]`."""
    if getattr(network, "outputs", None):
        return network.output_shape[-1]
    inputs = keras.KerasTensor(input_shape(network), network.compute_dtype)
    return network.compute_output_spec(inputs).shape[-1]


def takes_training(network):
    """Whether a network's call has an argument `training`."""
    return "training" in inspect.signature(network.call).parameters


def head_of(network):
    """The last layer with weights, at whatever depth: of a classifier, that of its logits.

    Raises:
        ValueError: a model does not tell in what order its layers come.
    """
    layer = network
    while isinstance(layer, keras.Model):
        if not (isinstance(layer, keras.Sequential) or getattr(layer, "outputs", None)):
            raise ValueError(
                f"network {network.name!r}: {type(layer).__name__} does not tell which of its "
                "layers is the last; make it of functional and sequential models."
            )
        layer = [inner for inner in layer.layers if inner.weights][-1]
    return layer


class FlatNetwork:
    """`network` as a function of its trainable weights, joined to one vector `theta` of shape [P].

    No weight of the network is ever written: parameters and state (batch-normalisation statistics)
    go in and come out as tensors, so the runs of different episodes cannot touch each other.

    Args:
        network: a built `keras.Model`.
        second_order: whether second derivatives will be taken. To make them exact, the network's
            batch-normalisation layers then compute their moments with
            `meta_keras.batch_norm.exact_moments`.
        head_only: whether theta are only the weights of the network's `head_of`. The others are the
            network's own, and derivatives reach them there.

    Raises:
        ValueError: `network` is not built, or has no trainable weights; or second derivatives
            through one of its layers would be wrong.
    """

    def __init__(self, network, second_order=False, head_only=False):
        if not network.built:
            raise ValueError(
                f"network {network.name!r} is not built: call it once on data, or call "
                "network.build(input_shape), before making a learner of it."
            )
        if second_order:
            make_twice_differentiable(network)
        self.network = network
        self.head_only = head_only
        self.takes_training = takes_training(network)
        self.check()

    def check(self):
        """Refuses a network with nothing to adapt, and weights that a step would take somewhere
        they must not be.

        Raises:
            ValueError: see above.
        """
        variables = self.variables
        if not variables:
            raise ValueError(
                f"network {self.network.name!r} has no trainable weights to adapt (trainable=False "
                "on it, or on a model around it, freezes them all)."
            )
        bound = [v.path for v in variables if getattr(v, "constraint", None)]
        if bound:
            raise ValueError(
                f"network {self.network.name!r} has constraints ({', '.join(bound)}), which the "
                "steps of a cell would not keep; leave them out."
            )

    @property
    def variables(self):
        """The weights that theta joins: those that are trainable now, a list."""
        network = head_of(self.network) if self.head_only else self.network
        return network.trainable_variables

    @property
    def shapes(self):
        """Of the `variables`."""
        return [tuple(variable.shape) for variable in self.variables]

    @property
    def sizes(self):
        return [math.prod(shape) for shape in self.shapes]

    @property
    def size(self):
        """P."""
        return sum(self.sizes)

    def penalty(self, parameters):
        """What the regularisers of the weights add to a loss: a scalar, or None without any.

        Args:
            parameters: `[P]`.
        """
        values = zip(self.network.trainable_variables, self.weights(parameters), strict=True)
        terms = [v.regularizer(value) for v, value in values if getattr(v, "regularizer", None)]
        return tf.cast(tf.add_n(terms), parameters.dtype) if terms else None

    def parameters(self):
        """The network's own `variables` as one tensor `[P]`, differentiable."""
        return tf.concat([tf.reshape(variable, [-1]) for variable in self.variables], axis=0)

    def state(self):
        """The network's own non-trainable weights, a list of tensors."""
        return [tf.convert_to_tensor(v) for v in self.network.non_trainable_variables]

    def unflatten(self, parameters):
        """`[P]` -> list of tensors in the shapes of the `variables`."""
        parts = tf.split(parameters, self.sizes)
        return [tf.reshape(part, shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def weights(self, parameters):
        """`[P]` -> all that `network.trainable_variables` are then, a list of tensors."""
        if not self.head_only:
            return self.unflatten(parameters)
        theta = dict(zip(map(id, self.variables), self.unflatten(parameters), strict=True))
        return [
            theta[id(v)] if id(v) in theta else tf.convert_to_tensor(v)
            for v in self.network.trainable_variables
        ]

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
            self.weights(parameters),
            state,
            images,
            **({"training": training} if self.takes_training else {}),
        )
        return tf.cast(logits, parameters.dtype), [tf.stop_gradient(value) for value in state]
