"""Tests of what a learned optimizer sees of a gradient."""

from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.errors import SettingError
from meta_keras.layers import (
    Concatenated,
    CoordinatewiseLSTM,
    LogAndSign,
    Preprocessing,
    RawGradient,
    RNNProp,
)
from meta_keras.layers.concatenated import get_preprocessing
from meta_keras.layers.log_and_sign import log_and_sign

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
def test_the_function_stacks_its_features_first(shape):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    y = log_and_sign(x, 7.0)
    assert y.shape == (2, *shape)
    np.testing.assert_allclose(y[0], np.log(np.abs(x)) / 7, rtol=1e-5)
    np.testing.assert_array_equal(y[1], np.sign(x))


class Row(NamedTuple):
    preprocessing: Preprocessing
    features: int
    keeps_mean: bool
    bounded: bool


ROWS = [
    Row(RawGradient(), 1, False, False),
    Row(LogAndSign(p=3.5), 2, False, False),
    Row(RNNProp(beta=0.8, epsilon=1e-6), 2, True, True),
    Row(Concatenated([LogAndSign(p=4), RNNProp()]), 4, True, True),
]
NAMES = [type(row.preprocessing).__name__ for row in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_protocol(row):
    read = row.preprocessing
    gradients = np.random.default_rng(1).normal(size=(3, 5)).astype("float32")
    state = start = read.initial_state(tf.zeros(5))
    assert (read.num_features, read.keeps_mean, read.bounded) == row[1:]
    for gradient in gradients:
        again, _ = read(gradient, state)
        features, mean, state = read.step(gradient, state)
        assert features.shape == (row.features, 5) and features.dtype == tf.float32
        assert (mean is not None) == row.keeps_mean
        tf.nest.assert_same_structure(state, start)
        np.testing.assert_array_equal(again, features)
    if row.keeps_mean:  # bias-corrected: the weights of all gradients sum to one
        beta = 0.8 if isinstance(read, RNNProp) else 0.95
        weights = beta ** np.arange(2, -1, -1)
        np.testing.assert_allclose(mean, weights @ gradients / weights.sum(), rtol=1e-4)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_config_round_trip(row):
    serialized = keras.saving.serialize_keras_object(row.preprocessing)
    clone = keras.saving.deserialize_keras_object(serialized)
    assert type(clone) is type(row.preprocessing)
    assert clone.get_config() == row.preprocessing.get_config()


def test_concatenated_is_its_parts_one_below_the_other():
    parts, gradient = [RNNProp(), LogAndSign(), RawGradient()], tf.constant([0.5, -2.0])
    both = Concatenated(parts)
    features, _ = both(gradient, both.initial_state(gradient))
    expected = [part(gradient, part.initial_state(gradient))[0] for part in parts]
    np.testing.assert_array_equal(features, tf.concat(expected, axis=0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LogAndSign(p=0), "LogAndSign: p must be positive and at most 87.*got p=0"),
        (lambda: LogAndSign(p=88), "exp.* still a float32 number, got p=88"),
        (lambda: LogAndSign(p=-1.0), "p=-1.0"),
        (lambda: LogAndSign(p=float("nan")), "p=nan"),
        (lambda: RNNProp(beta=1.0), "RNNProp: beta must be in .*got 1.0"),
        (lambda: RNNProp(epsilon=0.0), "RNNProp: epsilon must be positive, got 0.0"),
        (lambda: RNNProp(epsilon=np.inf), "epsilon must be positive and finite, got inf"),
        (lambda: LogAndSign(p="10"), "p=.10"),
        (lambda: Concatenated([]), "at least one part"),
        (lambda: get_preprocessing("magic"), "one of .*'log_and_sign'.*got 'magic'"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("read", "name", "bad", "good"),
    [
        (LogAndSign(), "p", 88, 50.0),
        (RNNProp(), "beta", None, 0.5),
        (RNNProp(), "epsilon", 0, 1e-3),
    ],
)
def test_numbers_set_later_are_obeyed_or_refused(read, name, bad, good):
    """A graph holds those that it was made with; here it is that of a cell."""
    with pytest.raises(SettingError, match=f"{name} must be"):
        setattr(read, name, bad)
    setattr(read, name, good)
    gradient = tf.constant([1e-3])
    features, _ = type(read)(**{name: good})(gradient, read.initial_state(gradient))
    np.testing.assert_array_equal(read(gradient, read.initial_state(gradient))[0], features)
    cell = CoordinatewiseLSTM((2,), Concatenated([RawGradient(), read]))
    cell.build_once()
    tf.function(lambda: cell(gradient, tf.zeros(()), gradient, cell.initial_state(gradient)))()
    with pytest.raises(SettingError, match=f"{name}=.*set too late.*make a new one"):
        setattr(read, name, 2 * good)
    with pytest.raises(SettingError, match="parts cannot be replaced"):
        cell.preprocessing.parts = [read]


def test_a_small_epsilon_of_rnnprop_is_honoured():
    """The first features are g / (|g| + epsilon), whatever keeps the root from an exact zero."""
    gradient, epsilon = np.array([0.0, 1e-17, -1e-13, 1.0]), 1e-15
    read = RNNProp(epsilon=epsilon)
    features, _ = read(tf.constant(gradient), read.initial_state(tf.constant(gradient)))
    expected = gradient / (np.abs(gradient) + epsilon)
    np.testing.assert_allclose(features, [expected, expected], rtol=1e-6)
