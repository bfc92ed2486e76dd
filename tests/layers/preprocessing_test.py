"""Tests of the log-and-sign preprocessing."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.layers import LogAndSign
from meta_keras.layers.preprocessing import log_and_sign

SMALLEST = np.exp(-10.0)
AROUND_SMALLEST = SMALLEST * np.array([1, -1, 0.5, -0.99, 1.01, -2])
VALUES = np.array([0, 1, -1, 0.3, -7, 1e-30, -1e-300, 1e30, -1e300, *AROUND_SMALLEST])


def test_equals_the_formula(log_and_sign_reference):
    features = log_and_sign(tf.constant(VALUES), 10.0)
    np.testing.assert_allclose(
        np.transpose(features), log_and_sign_reference(VALUES), rtol=1e-12, atol=1e-300
    )


def test_known_values():
    features = log_and_sign(tf.constant([np.e, -np.exp(-5), 0.0, 0.25 * np.exp(-5)]), 5.0)
    np.testing.assert_allclose(features, [[0.2, -1, -1, -1], [1, -1, 0, 0.25]], rtol=1e-6)


def test_float32_is_close_to_float64(log_and_sign_reference):
    values = np.array([0.0, 1e-37, -3e-5, 5e-5, -1.0, 1e38], "float32")
    features = log_and_sign(tf.constant(values), 10.0)
    assert features.dtype == tf.float32
    expected = log_and_sign_reference(values.astype("float64"))
    np.testing.assert_allclose(np.transpose(features), expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradient_is_finite(dtype):
    values = VALUES if dtype == "float64" else VALUES[np.abs(VALUES) < 1e38]
    x = tf.constant(values, dtype)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        magnitude, sign = tf.unstack(log_and_sign(x, 10.0))
    assert np.isfinite(tape.gradient(magnitude, x)).all()
    assert np.isfinite(tape.gradient(sign, x)).all()


def test_gradient_equals_the_derivative():
    x = tf.constant([0.2, -3.0, 0.1 * SMALLEST, -0.5 * SMALLEST], tf.float64)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        magnitude, sign = tf.unstack(log_and_sign(x, 10.0))
    np.testing.assert_allclose(tape.gradient(magnitude, x), [0.5, -1 / 30, 0, 0], rtol=1e-12)
    np.testing.assert_allclose(tape.gradient(sign, x), [0, 0, 1 / SMALLEST, 1 / SMALLEST])


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_layer_stacks_the_features_first(shape):
    layer = LogAndSign(p=7)
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    y = layer(x)
    assert y.shape == layer.compute_output_shape(shape) == (2, *shape)
    np.testing.assert_allclose(y[0], np.log(np.abs(x)) / 7, rtol=1e-5)
    np.testing.assert_array_equal(y[1], np.sign(x))


def test_config_round_trip():
    layer = LogAndSign(p=3.5, name="pre")
    clone = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert isinstance(clone, LogAndSign)
    assert clone.p == 3.5
    assert clone.name == "pre"


@pytest.mark.parametrize("p", [0, -1.0, float("nan")])
def test_bad_p(p):
    with pytest.raises(ValueError, match=f"p={p}"):
        LogAndSign(p=p)
