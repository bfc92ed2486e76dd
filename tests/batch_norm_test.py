"""Tests of batch statistics and their derivatives."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.batch_norm import (
    all_layers,
    exact_max_pool,
    exact_moments,
    make_twice_differentiable,
    uses_batch_statistics,
)


def _model():
    inner = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization(name="norm")])
    return keras.Sequential([keras.Input((4,)), inner, keras.layers.Dense(2, name="dense")])


def test_all_layers_are_found_at_any_depth():
    model = _model()
    assert {"norm", "dense", model.name} <= {layer.name for layer in all_layers(model)}


def test_frozen_layers_do_not_use_batch_statistics():
    model = _model()
    assert uses_batch_statistics(model)
    assert not uses_batch_statistics(model.get_layer("dense"))
    model.layers[0].get_layer("norm").trainable = False
    assert not uses_batch_statistics(model)


def test_moments_and_their_second_derivative():
    """d2 var / dx_i dx_j = 2 (delta_ij - 1/n) / n."""
    layer = keras.layers.BatchNormalization(dtype="float64")
    layer.build((None, 1))
    x = tf.constant(np.random.default_rng(0).normal(size=(5, 1)))
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            mean, variance = exact_moments(layer, x, None)
        gradient = inner.gradient(variance, x)[:, 0]
    hessian = outer.jacobian(gradient, x)[:, :, 0]
    np.testing.assert_allclose(mean, [np.mean(x)], rtol=1e-12)
    np.testing.assert_allclose(variance, [np.var(x)], rtol=1e-12)
    np.testing.assert_allclose(hessian, 2 * (np.eye(5) - 1 / 5) / 5, atol=1e-12)
    with pytest.raises(ValueError, match="does not support masks"):
        exact_moments(layer, x, tf.ones(5))


def test_a_twice_differentiable_network_computes_the_same():
    model = _model()
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    before = np.array(model(x, training=True))
    make_twice_differentiable(model)
    np.testing.assert_allclose(model(x, training=True), before, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [(2, 2), (3, 2)])
def test_max_pooling_differentiates_twice_with_xla(size):
    """Against TensorFlow's own without XLA, also where maxima are equal or nearly so."""
    rng = np.random.default_rng(0)
    x, direction = (rng.normal(size=(2, 7, 8, 3)).astype("float32") for _ in range(2))
    x[0] = 1.0 + 1e-4 * x[0]
    x[1, :4] = 0.5

    def derivatives(pool, x, weights):
        with tf.GradientTape() as outer:
            outer.watch(weights)
            with tf.GradientTape() as inner:
                inner.watch(x)
                pooled = pool(x)
                loss = tf.reduce_sum(weights * pooled)
            gradient = inner.gradient(loss, x)
            along = tf.reduce_sum(gradient * direction)
        return pooled, gradient, outer.gradient(along, weights)

    def own(x):
        return tf.nn.max_pool2d(x, size, size, "VALID")

    weights = tf.constant(rng.normal(size=own(x).shape), tf.float32)
    expected = derivatives(own, tf.constant(x), weights)
    exact = functools.partial(derivatives, functools.partial(exact_max_pool, size))
    for jit_compile in (False, True):
        compiled = tf.function(exact, jit_compile=jit_compile, autograph=False)
        for found, right in zip(compiled(tf.constant(x), weights), expected, strict=True):
            np.testing.assert_array_equal(found, right)
