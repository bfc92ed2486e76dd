"""Tests of a network as a function of one flat parameter vector."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.functional import FlatNetwork


@pytest.fixture
def images():
    return tf.constant(np.random.default_rng(0).normal(size=(5, 6, 6, 1)))


def _values(variables):
    return [variable.numpy() for variable in variables]


def _assert_all_equal(actual, expected):
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_equals_the_network(make_network, images, batch_norm, training):
    network = make_network(batch_norm)
    flat = FlatNetwork(network)
    before = _values(network.variables)
    logits, state = flat(flat.parameters(), flat.state(), images, training)
    _assert_all_equal(_values(network.variables), before)
    # Called directly the network updates its own statistics: those must be the state returned.
    np.testing.assert_allclose(network(images, training=training), logits, rtol=1e-12)
    _assert_all_equal(state, _values(network.non_trainable_variables))
    moved = any((a != b).any() for a, b in zip(before, _values(network.variables), strict=True))
    assert moved == (batch_norm and training)


def test_uses_the_given_parameters_and_state(make_network, images):
    network = make_network()
    flat = FlatNetwork(network)
    rng = np.random.default_rng(1)
    parameters = rng.normal(size=flat.size)
    state = [rng.uniform(0.5, 2, value.shape) for value in flat.state()]
    logits, _ = flat(tf.constant(parameters), state, images, training=False)
    other = keras.models.clone_model(network)
    for variable in other.trainable_variables:
        count = variable.numpy().size
        variable.assign(parameters[:count].reshape(variable.shape))
        parameters = parameters[count:]
    for variable, value in zip(other.non_trainable_variables, state, strict=True):
        variable.assign(value)
    np.testing.assert_allclose(other(images, training=False), logits, rtol=1e-12)


def test_parameters_are_in_the_order_of_the_network(make_network):
    network = make_network()
    flat = FlatNetwork(network)
    expected = np.concatenate([value.ravel() for value in _values(network.trainable_variables)])
    assert flat.size == expected.size
    np.testing.assert_array_equal(flat.parameters(), expected)
    _assert_all_equal(flat.unflatten(flat.parameters()), _values(network.trainable_variables))


def test_parameters_are_differentiable(make_network):
    flat = FlatNetwork(make_network())
    weights = np.random.default_rng(2).normal(size=flat.size)
    variables = [variable.value for variable in flat.network.trainable_variables]
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(flat.parameters() * weights)
    _assert_all_equal(tape.gradient(value, variables), flat.unflatten(tf.constant(weights)))


def test_state_is_a_constant(make_network, images):
    flat = FlatNetwork(make_network())
    parameters = flat.parameters()
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        _, state = flat(parameters, flat.state(), images, training=True)
        value = tf.add_n([tf.reduce_sum(part) for part in state])
    assert tape.gradient(value, parameters) is None


def test_sequential_networks(images):
    layers = [keras.layers.Flatten(), keras.layers.Dense(3)]
    network = keras.Sequential([keras.Input((6, 6, 1)), *layers])
    flat = FlatNetwork(network)
    logits, _ = flat(flat.parameters(), flat.state(), images, training=False)
    np.testing.assert_allclose(network(images), logits, rtol=1e-6)


def test_network_must_be_built():
    network = keras.Sequential([keras.layers.Dense(3)], name="unready")
    with pytest.raises(ValueError, match="'unready' is not built"):
        FlatNetwork(network)


def test_network_must_have_weights():
    network = keras.Sequential([keras.Input((4,)), keras.layers.ReLU()], name="empty")
    with pytest.raises(ValueError, match="'empty' has no trainable weights"):
        FlatNetwork(network)
