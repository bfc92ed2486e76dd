"""Tests of ResNet-12."""

import itertools

import keras
import numpy as np
import pytest

from meta_keras.networks import PHOTOGRAPHS, resnet12

TINY = (2, 3, 4, 5)


def weights_of_block(inside, out):
    convolutions = 9 * inside * out + 2 * 9 * out * out + inside * out
    return convolutions + 4 * 2 * out  # batch normalisation


def test_sizes():
    network = resnet12()
    widths = (3, 64, 160, 320, 640)
    count = sum(weights_of_block(*pair) for pair in itertools.pairwise(widths))
    assert sum(np.prod(v.shape) for v in network.trainable_variables) == count == 12_424_320
    assert network.output_shape == (None, 640)
    assert resnet12((32, 48, 1), TINY, maps=True).output_shape == (None, 2, 3, 5)


def test_a_block_is_the_pooled_sum_of_two_paths():
    network = resnet12((16, 16, 3), TINY)
    layer = network.get_layer
    x = np.random.default_rng(0).uniform(size=(2, 16, 16, 3)).astype("float32")

    def leaky(x):
        return np.where(x > 0, x, 0.1 * np.array(x))

    f = x
    for name in ("first", "second", "third"):
        f = layer(f"block1_{name}_norm")(layer(f"block1_{name}_conv")(f))
        f = f if name == "third" else leaky(f)
    g = layer("block1_shortcut_norm")(layer("block1_shortcut_conv")(x))
    total = leaky(np.array(f) + np.array(g))
    pooled = total.reshape(2, 8, 2, 8, 2, 2).max(axis=(2, 4))
    found = keras.Model(network.inputs, layer("block1_pool").output)(x)
    np.testing.assert_allclose(found, pooled, rtol=1e-4, atol=1e-5)


def test_dropout_acts_in_training_only():
    network = resnet12((16, 16, 1), TINY, dropout=0.5)
    x = np.random.default_rng(0).uniform(size=(2, 16, 16, 1))
    np.testing.assert_array_equal(network(x), network(x))
    assert np.abs(network(x, training=True) - network(x, training=True)).max() > 0


def test_pictures_are_normalised_inside():
    plain = resnet12((16, 16, 3), TINY)
    network = resnet12((16, 16, 3), TINY, normalization=PHOTOGRAPHS)
    network.set_weights(plain.get_weights())
    mean, deviation = np.array(PHOTOGRAPHS)
    x = np.random.default_rng(0).uniform(size=(2, 16, 16, 3))
    np.testing.assert_allclose(network(x), plain((x - mean) / deviation), rtol=1e-3, atol=1e-5)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"resnet12 needs.*\(8, 84, 3\)"):
        resnet12((8, 84, 3))
    with pytest.raises(ValueError, match=r"four positive integers, got \(1, 2, 3\)"):
        resnet12(filters=(1, 2, 3))
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 1\), got 1"):
        resnet12(dropout=1)
