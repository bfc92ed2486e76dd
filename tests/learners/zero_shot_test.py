"""Tests of the zero-shot prototypical network against NumPy in float64."""

import keras
import numpy as np
import pytest

from meta_keras import ZeroShotPrototypicalNetwork
from meta_keras.networks import conv4, trajectory_network


@pytest.fixture
def make_learner():
    """Function that builds a small learner over 6x6 pictures and descriptors of 7 numbers."""

    def make(batch_norm=True):
        def network(shape, units):
            inputs = keras.Input(shape)
            x = keras.layers.Flatten()(inputs)
            x = keras.layers.Dense(5, activation="tanh")(x)
            if batch_norm:
                x = keras.layers.BatchNormalization(momentum=0.6)(x)
            return keras.Model(inputs, keras.layers.Dense(units)(x))

        return ZeroShotPrototypicalNetwork(network((6, 6, 1), 4), network((7,), 4))

    return make


def make_batch(batch=2, classes=3, nquery=2, seed=0):
    rng = np.random.default_rng(seed)
    x = {
        "descriptors": rng.normal(size=(batch, classes, 7)).astype("float32"),
        "query_images": rng.normal(size=(batch, classes * nquery, 6, 6, 1)).astype("float32"),
    }
    return x, np.tile(np.arange(classes, dtype="int32").repeat(nquery), (batch, 1))


def reference(learner, x):
    """Snell et al. 2017, equation 2 with section 2.7's prototypes, episode by episode."""
    logits = []
    for descriptors, images in zip(x["descriptors"], x["query_images"], strict=True):
        g = np.float64(learner.descriptor_network(descriptors, training=False))
        z = np.float64(learner.network(images, training=False))
        logits.append(
            [
                [
                    -sum((zi - ci) ** 2 for zi, ci in zip(q, v / np.linalg.norm(v), strict=True))
                    for v in g
                ]
                for q in z
            ]
        )
    return np.array(logits)


def test_logits(make_learner):
    learner, (x, _) = make_learner(), make_batch()
    logits = learner.predict_on_batch(x)
    assert logits.shape == (2, 6, 3)
    np.testing.assert_allclose(logits, reference(learner, x), rtol=1e-4, atol=1e-5)


def test_prototypes_have_unit_length(make_learner):
    x, _ = make_batch()
    prototypes = make_learner().prototypes(x["descriptors"][0])
    np.testing.assert_allclose(np.linalg.norm(prototypes, axis=1), 1, rtol=1e-5)
    # So a longer descriptor embedding does not make its class nearer or farther.
    learner = make_learner(batch_norm=False)
    before = learner.predict_on_batch(x)
    last = learner.descriptor_network.layers[-1]
    last.set_weights([5 * weights for weights in last.get_weights()])
    np.testing.assert_allclose(learner.predict_on_batch(x), before, rtol=1e-4)


def test_training_learns_to_tell_classes_by_their_descriptors(make_learner):
    """Pictures are noisy linear images of descriptors; classes of the test are new ones."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(7, 36)) / 2

    def batch(seed):
        generator = np.random.default_rng(seed)
        descriptors = generator.normal(size=(8, 5, 7))
        clean = (descriptors @ mixing).repeat(2, axis=1)
        images = (clean + 0.1 * generator.normal(size=clean.shape)).reshape(8, 10, 6, 6, 1)
        labels = np.tile(np.arange(5, dtype="int32").repeat(2), (8, 1))
        return {"descriptors": np.float32(descriptors), "query_images": np.float32(images)}, labels

    learner = make_learner()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner.compile(keras.optimizers.Adam(1e-2), loss, metrics=["accuracy"])
    before = learner.evaluate(*batch(999), verbose=0)[1]
    for seed in range(60):
        learner.train_on_batch(*batch(seed))
    assert before < 0.5
    assert learner.evaluate(*batch(999), verbose=0)[1] > 0.7


def test_networks_that_do_not_fit():
    f, g = conv4(8), trajectory_network(9)
    with pytest.raises(ValueError, match=r"\(None, 8\) and \(None, 9\)"):
        ZeroShotPrototypicalNetwork(f, g)
    with pytest.raises(ValueError, match="is not built"):
        ZeroShotPrototypicalNetwork(f, keras.Sequential([keras.layers.Dense(8)]))
