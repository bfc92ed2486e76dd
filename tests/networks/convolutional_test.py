"""Tests of the base networks."""

import keras
import numpy as np
import pytest

from meta_keras.networks import conv4, conv4_embedding, relation_module, trajectory_network


@pytest.mark.parametrize("downsample", ["pool", "stride"])
def test_size_and_shapes(downsample):
    network = conv4(5, downsample=downsample)
    assert sum(np.prod(v.shape) for v in network.trainable_variables) == 28485
    assert network.output_shape == (None, 5)
    assert conv4(7, (32, 40, 3), 8, downsample).predict_on_batch(
        np.zeros((2, 32, 40, 3))
    ).shape == (2, 7)


def test_size_at_84x84():
    """Of the learner of Ravi & Larochelle 2017, in its official size."""
    network = conv4(5, (84, 84, 3))
    assert sum(np.prod(v.shape) for v in network.trainable_variables) == 32901


@pytest.mark.parametrize("make", [lambda **k: conv4(5, **k), conv4_embedding])
def test_normalization(make, tmp_path):
    """It is part of the network: every channel has its own mean and deviation, saved with it."""
    mean, deviation = np.array([0.2, 0.5, 0.7]), np.array([0.1, 0.2, 0.4])
    network = make(
        input_shape=(16, 16, 3), filters=2, normalization=(mean.tolist(), deviation.tolist())
    )
    plain = make(input_shape=(16, 16, 3), filters=2)
    plain.set_weights(network.get_weights())
    pictures = np.random.default_rng(0).uniform(size=(4, 16, 16, 3))
    expected = plain.predict_on_batch((pictures - mean) / deviation)
    np.testing.assert_allclose(network.predict_on_batch(pictures), expected, atol=1e-5)
    assert np.abs(plain.predict_on_batch(pictures) - expected).max() > 1e-3
    network.save(tmp_path / "it.keras")
    again = keras.models.load_model(tmp_path / "it.keras").predict_on_batch(pictures)
    np.testing.assert_array_equal(again, network.predict_on_batch(pictures))


def test_pools():
    assert conv4(5, filters=2, pools=3).get_layer("features").output.shape == (None, 3 * 3 * 2)
    assert conv4(5, filters=2, pools=0).get_layer("features").output.shape == (None, 28 * 28 * 2)


def test_zero_logits_are_zero_for_every_picture():
    network = conv4(5, logits_initializer="zeros")
    pictures = np.random.default_rng(0).uniform(size=(3, 28, 28, 1))
    assert not np.any(network.predict_on_batch(pictures))
    assert np.any(conv4(5).predict_on_batch(pictures))


def test_normalised_features():
    """What enters the logits has mean 0 and variance 1 over the batch, for every feature."""
    network = conv4(5, normalize_features=True)
    assert [v.shape for v in network.trainable_variables] == [
        v.shape for v in conv4(5).trainable_variables
    ]
    features = keras.Model(network.inputs, network.get_layer("logits").input)
    pictures = np.random.default_rng(0).uniform(size=(20, 28, 28, 1))
    found = np.asarray(features(pictures, training=True))
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    assert 0.5 < np.median(found.std(axis=0)) <= 1


def test_settings_of_batch_normalisation():
    layers = [
        layer
        for layer in conv4(5, momentum=0.3, epsilon=0.2).layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert [(layer.momentum, layer.epsilon) for layer in layers] == [(0.3, 0.2)] * 4


def test_embedding():
    network = conv4_embedding(filters=8)
    assert network.output_shape == (None, 8)
    assert conv4_embedding((84, 84, 3)).output_shape == (None, 5 * 5 * 64)
    assert [w.shape for w in network.weights] == [w.shape for w in conv4(5, filters=8).weights[:-2]]
    assert conv4_embedding(filters=8, pools=3).output_shape == (None, 3 * 3 * 8)
    images = np.random.default_rng(0).uniform(size=(2, 28, 28, 1))
    assert network.predict_on_batch(images).min() >= 0


def test_feature_maps_and_their_relation():
    """84x84 pictures give 19x19 maps, 28x28 ones 5x5, as in Sung et al. 2018."""
    maps = conv4_embedding((84, 84, 3), filters=4, maps=True).output_shape
    assert maps == (None, 19, 19, 4)
    assert relation_module(maps[1:], filters=3).output_shape == (None, 1)
    assert relation_module().get_layer("features").output.shape == (None, 64)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"\(8, 28, 1\)"):
        conv4(5, (8, 28, 1))
    with pytest.raises(ValueError, match="'average'"):
        conv4(5, downsample="average")
    with pytest.raises(ValueError, match=r"\(28, 8, 1\)"):
        conv4_embedding((28, 8, 1))
    with pytest.raises(ValueError, match="not given with 'stride', got 3"):
        conv4(5, downsample="stride", pools=3)
    with pytest.raises(ValueError, match="pools must be 0 to 4 with.*got 5"):
        conv4(5, pools=5)
    with pytest.raises(ValueError, match="pools must be 0 to 4, got 5"):
        conv4_embedding(pools=5)
    with pytest.raises(ValueError, match=r"\(5, 3, 64\)"):
        relation_module((5, 3, 64))


def test_trajectory_network_looks_at_places_not_at_the_order_of_far_strokes():
    network = trajectory_network(6, points=64)
    rng = np.random.default_rng(0)
    strokes = rng.uniform(-1, 1, (4, 1, 16, 3)).astype("float32")
    strokes[:, :, :4] = strokes[:, :, -4:] = 0  # Nothing but what lies inside a stroke differs.
    one = network(np.concatenate(strokes, axis=1))
    other = network(np.concatenate(strokes[[2, 0, 3, 1]], axis=1))
    moved = network(np.concatenate(strokes + 0.3, axis=1))
    assert np.abs(one - other).max() < 0.2 * np.abs(one - moved).max()
