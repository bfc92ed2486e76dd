"""Tests of gradient descent as a cell."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.layers import Cell, GradientDescentCell


def test_step_by_hand():
    cell = GradientDescentCell(learning_rate=0.25, dtype="float64")
    theta = tf.constant([1.0, -2.0, 0.5], tf.float64)
    gradient = tf.constant([4.0, 0.0, -1.0], tf.float64)
    after, state = cell(gradient, tf.constant(7.0, tf.float64), theta, cell.initial_state(theta))
    np.testing.assert_array_equal(after, [0.0, -2.0, 0.75])
    assert state == ()


def test_equals_keras_sgd():
    rng = np.random.default_rng(0)
    variable = keras.Variable(rng.normal(size=5))
    theta = tf.convert_to_tensor(variable)
    cell, sgd = GradientDescentCell(0.1), keras.optimizers.SGD(0.1)
    for gradient in rng.normal(size=(4, 5)).astype("float32"):
        sgd.apply([tf.constant(gradient)], [variable])
        theta, _ = cell(tf.constant(gradient), tf.constant(0.0), theta, ())
    np.testing.assert_allclose(theta, variable.numpy(), rtol=1e-6)


def test_has_no_weights():
    cell = GradientDescentCell()
    cell.build((3,))
    assert cell.weights == []


def test_config_round_trip():
    cell = GradientDescentCell(learning_rate=0.4, name="descent")
    clone = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(cell))
    assert isinstance(clone, GradientDescentCell)
    assert (clone.learning_rate, clone.name) == (0.4, "descent")


@pytest.mark.parametrize("learning_rate", [0, -0.1, float("nan")])
def test_bad_learning_rate(learning_rate):
    with pytest.raises(ValueError, match=f"learning_rate={learning_rate}"):
        GradientDescentCell(learning_rate=learning_rate)


def test_a_cell_must_implement_call():
    class Empty(Cell):
        pass

    with pytest.raises(NotImplementedError, match="Empty"):
        Empty().call(None, None, None, ())
