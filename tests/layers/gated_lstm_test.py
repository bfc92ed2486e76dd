"""Tests of the LSTM meta-learner's cell against the paper's equations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.layers import GatedLSTMCell, GatedLSTMState

SIZE, STEPS, UNITS = 7, 5, 3


def _weights(cell):
    return {variable.name: variable.numpy() for variable in cell.trainable_variables}


@pytest.fixture
def cell(randomize_cell):
    cell = GatedLSTMCell(units=UNITS, dtype="float64")
    cell.build((SIZE,))
    randomize_cell(cell)
    return cell


@pytest.fixture
def steps():
    """Gradients `[STEPS, SIZE]` of all magnitudes, zeros among them, and losses `[STEPS]`."""
    rng = np.random.default_rng(1)
    gradients = rng.normal(size=(STEPS, SIZE)) * 10.0 ** rng.integers(-7, 2, (STEPS, SIZE))
    gradients[:, 2] = 0.0
    return gradients, rng.uniform(0, 2, STEPS)


def _run(cell, theta, gradients, losses):
    """Theta and state after every step."""
    theta = tf.constant(theta)
    state, trajectory = cell.initial_state(theta), []
    for gradient, loss in zip(gradients, losses, strict=True):
        theta, state = cell(tf.constant(gradient), tf.constant(loss), theta, state)
        trajectory.append((theta, state))
    return trajectory


def test_equals_the_papers_equations(cell, steps, gated_lstm_reference):
    theta = np.random.default_rng(2).normal(size=SIZE)
    trajectory = _run(cell, theta, *steps)
    expected_state = None
    for (actual, state), gradient, loss in zip(trajectory, *steps, strict=True):
        theta, expected_state = gated_lstm_reference(
            _weights(cell), gradient, loss, theta, expected_state
        )
        np.testing.assert_allclose(actual, theta, rtol=1e-10)
        np.testing.assert_allclose(np.transpose(state.h), expected_state["h"], rtol=1e-10)
        np.testing.assert_allclose(np.transpose(state.c), expected_state["c"], rtol=1e-10)
        np.testing.assert_allclose(state.input_gate, expected_state["i"], rtol=1e-10)
        np.testing.assert_allclose(state.forget_gate, expected_state["f"], rtol=1e-10)


def test_first_layer_is_the_lstm_of_keras(cell, steps, log_and_sign_reference):
    lstm = keras.layers.LSTMCell(UNITS, dtype="float64")
    lstm.build((SIZE, 4))
    kernel, bias = cell.kernel.numpy(), cell.bias.numpy()
    lstm.set_weights([kernel[:4], kernel[4:], bias])
    h_and_c = [tf.zeros([SIZE, UNITS], tf.float64)] * 2
    trajectory = _run(cell, np.zeros(SIZE), *steps)
    for (_, state), gradient, loss in zip(trajectory, *steps, strict=True):
        loss = np.full(SIZE, loss)
        x = [log_and_sign_reference(gradient), log_and_sign_reference(loss)]
        _, h_and_c = lstm(tf.constant(np.concatenate(x, axis=1)), h_and_c)
        np.testing.assert_allclose(np.transpose(state.h), h_and_c[0], rtol=1e-10)
        np.testing.assert_allclose(np.transpose(state.c), h_and_c[1], rtol=1e-10)


def test_coordinates_are_independent(cell, steps):
    theta = np.random.default_rng(2).normal(size=SIZE)
    whole = _run(cell, theta, *steps)[-1][0]
    gradients, losses = steps
    part = _run(cell, theta[3:5], gradients[:, 3:5], losses)[-1][0]
    np.testing.assert_allclose(whole[3:5], part, rtol=1e-12)


def test_initial_state_is_zero(cell):
    state = cell.initial_state(tf.ones([SIZE], tf.float64))
    assert isinstance(state, GatedLSTMState)
    assert state.input_gate.shape == state.forget_gate.shape == (SIZE,)
    assert not np.any(state.input_gate) and not np.any(state.forget_gate)


def test_no_hidden_state_stands_for_zeros(cell):
    gradient, loss, theta = (
        tf.constant(value, tf.float64)
        for value in (np.linspace(-1, 2, SIZE), 0.7, np.linspace(0.5, -1.5, SIZE))
    )
    start = cell.initial_state(theta)
    assert start.h is None and start.c is None
    zeros = tf.zeros([UNITS, SIZE], tf.float64)
    expected = cell(gradient, loss, theta, start._replace(h=zeros, c=zeros))
    actual = cell(gradient, loss, theta, start)
    for ours, theirs in zip(tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_initial_values():
    biases = []
    for seed in range(5):
        keras.utils.set_random_seed(seed)
        cell = GatedLSTMCell()
        cell.build((10,))
        assert cell.units == 20
        assert cell.p == 10.0
        weights = _weights(cell)
        forget, input_ = weights.pop("forget_gate_bias"), weights.pop("input_gate_bias")
        assert 4 <= forget <= 5
        assert -5 <= input_ <= -4
        biases += [float(forget), float(input_)]
        assert set(weights) == {"kernel", "bias", "input_gate_kernel", "forget_gate_kernel"}
        for values in weights.values():
            assert np.abs(values).max() <= 0.01
            assert 0.004 < values.std() < 0.0075  # 0.01 / sqrt(3) for a uniform distribution
    assert len(set(biases)) == len(biases)


def test_training_starts_near_gradient_descent():
    cell = GatedLSTMCell()
    theta, gradient = tf.constant([1.0, -1.0]), tf.constant([0.5, 0.0])
    after, state = cell(gradient, tf.constant(1.0), theta, cell.initial_state(theta))
    np.testing.assert_allclose(after, theta, rtol=0.05)
    assert ((np.array(state.input_gate) > 0.005) & (np.array(state.input_gate) < 0.02)).all()


def test_chosen_biases():
    cell = GatedLSTMCell(
        input_gate_bias_initializer=keras.initializers.Constant(-1.0),
        forget_gate_bias_initializer=keras.initializers.Constant(6.0),
    )
    cell.build((1,))
    assert float(cell.input_gate_bias) == -1.0
    assert float(cell.forget_gate_bias) == 6.0


def test_initializers_go_through_the_config():
    cell = GatedLSTMCell(
        units=4, p=5, input_gate_bias_initializer=keras.initializers.Constant(-2.0), name="gates"
    )
    clone = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(cell))
    assert isinstance(clone, GatedLSTMCell)
    assert (clone.units, clone.p, clone.name) == (4, 5.0, "gates")
    clone.build((1,))
    assert float(clone.input_gate_bias) == -2.0


@pytest.mark.parametrize(
    ("argument", "value"),
    [("units", 0), ("units", -1), ("units", 1.5), ("p", 0), ("p", -3.0), ("p", float("nan"))],
)
def test_bad_arguments(argument, value):
    with pytest.raises(ValueError, match=rf"GatedLSTMCell: {argument} .*{value}"):
        GatedLSTMCell(**{argument: value})
