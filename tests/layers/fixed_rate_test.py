"""Tests of hand-made optimizers as cells."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.layers import (
    AdamCell,
    Cell,
    CoordinatewiseLSTM,
    GatedLSTMCell,
    GradientDescentCell,
    MetaSGDCell,
    NesterovCell,
    RMSpropCell,
)

CELLS = [GradientDescentCell, NesterovCell, RMSpropCell, AdamCell]


def test_step_by_hand():
    cell = GradientDescentCell(learning_rate=0.25, dtype="float64")
    theta = tf.constant([1.0, -2.0, 0.5], tf.float64)
    gradient = tf.constant([4.0, 0.0, -1.0], tf.float64)
    after, state = cell(gradient, tf.constant(7.0, tf.float64), theta, cell.initial_state(theta))
    np.testing.assert_array_equal(after, [0.0, -2.0, 0.75])
    assert state == ()


@pytest.mark.parametrize(
    ("make", "reference"),
    [
        (GradientDescentCell, keras.optimizers.SGD),
        (NesterovCell, lambda rate: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True)),
        (RMSpropCell, keras.optimizers.RMSprop),
        (AdamCell, keras.optimizers.Adam),
    ],
)
def test_equals_the_optimizer_of_keras(make, reference):
    rng = np.random.default_rng(0)
    variable = keras.Variable(rng.normal(size=5))
    theta = tf.convert_to_tensor(variable)
    cell, optimizer = make(0.1), reference(0.1)
    state = cell.initial_state(theta)
    for gradient in rng.normal(size=(6, 5)).astype("float32"):
        optimizer.apply([tf.constant(gradient)], [variable])
        theta, state = cell(tf.constant(gradient), tf.constant(0.0), theta, state)
    np.testing.assert_allclose(theta, variable.numpy(), rtol=1e-5)


@pytest.mark.parametrize("make", CELLS)
def test_has_no_weights(make):
    cell = make()
    cell.build((3,))
    assert cell.weights == []


@pytest.mark.parametrize("make", CELLS)
@pytest.mark.parametrize("learning_rate", [0, -0.1, np.nan, np.inf, None, True, "0.1"])
def test_bad_learning_rate(make, learning_rate):
    with pytest.raises(
        ValueError, match=f"{make.__name__}: learning_rate .*, got {learning_rate!r}"
    ):
        make(learning_rate=learning_rate)


@pytest.mark.parametrize("make", CELLS)
def test_another_rate_is_obeyed_or_refused(make):
    """A graph holds the rate that it was made with."""
    cell, one = make(0.1), tf.ones(1)

    def step():
        return cell(one, tf.zeros(()), one, cell.initial_state(one))[0].numpy()

    cell.learning_rate = 0.2
    np.testing.assert_array_equal(step(), make(0.2)(one, one, one, cell.initial_state(one))[0])
    with pytest.raises(ValueError, match="learning_rate must be positive, got -1"):
        cell.learning_rate = -1
    tf.function(lambda: cell(one, tf.zeros(()), one, cell.initial_state(one)))()
    with pytest.raises(ValueError, match="learning_rate=0.3 is set too late"):
        cell.learning_rate = 0.3
    assert cell.learning_rate == 0.2


@pytest.mark.parametrize(
    ("make", "changes"),
    [
        (AdamCell, {"beta_1": 0.5}),
        (CoordinatewiseLSTM, {"units": (2,), "preprocessing": "none", "output_scale": 2.0}),
        (CoordinatewiseLSTM, {"gradient_rate": 0.1}),
        (MetaSGDCell, {"rate_initializer": "zeros"}),
        (GatedLSTMCell, {"units": 2, "p": 5.0, "input_gate_bias_initializer": "zeros"}),
    ],
)
def test_other_numbers_are_refused_once_a_graph_holds_them(make, changes):
    cell, one = make(), tf.ones(1)
    tf.function(lambda: cell(one, tf.zeros(()), one, cell.initial_state(one)))()
    for name, value in changes.items():
        before = getattr(cell, name)
        with pytest.raises(ValueError, match=f"{name}.*make a new"):
            setattr(cell, name, value)
        assert getattr(cell, name) is before


def test_a_cell_must_implement_call():
    class Empty(Cell):
        pass

    with pytest.raises(NotImplementedError, match="Empty"):
        Empty().call(None, None, None, ())


@pytest.mark.parametrize("gradient", [0.0, 1e-30])
@pytest.mark.parametrize("beta_1", [0.9, 0.0])
def test_adams_derivative_where_the_gradient_vanishes(gradient, beta_1):
    """That of -alpha_1 m_1 / epsilon, with m_1 = (1 - beta_1) g; 1e-30 has the square 0."""
    cell, g = AdamCell(0.1, beta_1), tf.constant([gradient])
    with tf.GradientTape() as tape:
        tape.watch(g)
        theta, _ = cell(g, tf.zeros(()), tf.zeros(1), cell.initial_state(g))
    alpha_1 = 0.1 * np.sqrt(1 - 0.999) / (1 - beta_1)
    np.testing.assert_allclose(tape.gradient(theta, g), [-alpha_1 * (1 - beta_1) / 1e-7], rtol=1e-3)
