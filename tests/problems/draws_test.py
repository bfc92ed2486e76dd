"""Random numbers against TensorFlow's own, and against themselves when XLA compiles them."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from meta_keras.problems import draws

PAIRS = {
    "uniform": (draws.uniform, tf.random.stateless_uniform),
    "normal": (draws.normal, tf.random.stateless_normal),
    "integers": (
        functools.partial(draws.integers, maxval=1000),
        functools.partial(tf.random.stateless_uniform, maxval=1000, dtype=tf.int32),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("shape", [[7], [101, 10]])
def test_tensorflows_own_with_xla_and_without(name, shape):
    """Also of seeds that are negative, or have more than 32 bits."""
    own, other = PAIRS[name]
    compiled = tf.function(functools.partial(own, shape), jit_compile=True, autograph=False)
    for seed in ([5, 7], [-3, 5], [7_000_000_049, -1]):
        seed = tf.constant(seed, tf.int64)
        expected = other(shape, seed)
        for found in (own(shape, seed), compiled(seed)):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * (name == "normal"))


def test_seeds_of_seeds():
    fold_in = tf.function(draws.fold_in, jit_compile=True, autograph=False)
    for seed in ([5, 7], [-3, 5], [7_000_000_049, -1]):
        seed = tf.constant(seed, tf.int64)
        expected = tf.random.fold_in(seed, 3)
        for found in (draws.fold_in(seed, 3), fold_in(seed, tf.constant(3))):
            np.testing.assert_array_equal(found, expected)
