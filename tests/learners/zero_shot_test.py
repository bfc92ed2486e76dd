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


def test_meta_gradient_is_that_of_the_loss_and_changes_nothing(make_learner):
    learner, (x, y) = make_learner(), make_batch()
    learner.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = learner.get_weights()
    gradient = learner.meta_gradient(x, y)
    for one, other in zip(learner.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    # Plain gradient descent of rate 1 moves by it.
    learner.optimizer.learning_rate = 1.0
    before = [variable.numpy() for variable in learner.trainable_variables]
    learner.train_on_batch(x, y)
    for variable, old, part in zip(learner.trainable_variables, before, gradient, strict=True):
        np.testing.assert_allclose(old - variable.numpy(), part, rtol=1e-4, atol=1e-5)


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


def test_order_of_classes_is_that_of_the_logits(make_learner):
    learner, (x, _) = make_learner(), make_batch()
    logits = learner.predict_on_batch(x)
    permuted = {**x, "descriptors": x["descriptors"][:, [2, 0, 1]]}
    np.testing.assert_allclose(
        learner.predict_on_batch(permuted), logits[:, :, [2, 0, 1]], rtol=1e-5, atol=1e-6
    )


def test_any_number_of_classes_and_no_influence_of_neighbours(make_learner):
    learner, (x, _) = make_learner(), make_batch(batch=3, classes=4)
    together = learner.predict_on_batch(x)
    for episode in range(3):
        alone = learner.predict_on_batch({name: v[episode : episode + 1] for name, v in x.items()})
        np.testing.assert_allclose(alone[0], together[episode], rtol=1e-4, atol=1e-5)
    one = learner.predict_on_batch({**x, "query_images": x["query_images"][:, :1]})
    np.testing.assert_allclose(one, together[:, :1], rtol=1e-4, atol=1e-5)
    assert learner.is_transductive() is False


def test_no_influence_of_neighbours_in_training(make_learner):
    """Batch normalisation must not mix the episodes of a batch."""
    learner, (x, _) = make_learner(), make_batch(batch=2)
    before = np.asarray(learner(x, training=True))
    other = {name: np.concatenate([v[:1], 5 * v[1:]]) for name, v in x.items()}
    after = np.asarray(learner(other, training=True))
    np.testing.assert_allclose(after[0], before[0], rtol=1e-4, atol=1e-5)
    assert np.abs(after[1] - before[1]).max() > 0.01


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


def test_saves_and_loads(make_learner, tmp_path):
    learner, (x, y) = make_learner(), make_batch()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner.compile("adam", loss)
    learner.train_on_batch(x, y)
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    np.testing.assert_array_equal(loaded.predict_on_batch(x), learner.predict_on_batch(x))
    learner.save_to_preset(tmp_path / "preset")
    loaded = ZeroShotPrototypicalNetwork.from_preset(tmp_path / "preset")
    np.testing.assert_array_equal(loaded.predict_on_batch(x), learner.predict_on_batch(x))


def test_adapt_gives_the_same_classifier(make_learner, tmp_path):
    learner, (x, y) = make_learner(), make_batch()
    learner.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    learner.train_on_batch(x, y)  # Moving statistics are not the initial ones.
    expected = learner.predict_on_batch(x)
    classifier = learner.adapt(x["descriptors"][1])
    np.testing.assert_allclose(
        classifier.predict(x["query_images"][1], verbose=0), expected[1], rtol=1e-4, atol=1e-4
    )
    # Of Keras' own parts only, and independent of the learner.
    classifier.save(tmp_path / "classifier.keras")
    learner.set_weights([0 * weights for weights in learner.get_weights()])
    loaded = keras.models.load_model(tmp_path / "classifier.keras")
    np.testing.assert_allclose(
        loaded.predict(x["query_images"][1], verbose=0), expected[1], rtol=1e-4, atol=1e-4
    )


def test_networks_that_do_not_fit():
    f, g = conv4(8), trajectory_network(9)
    with pytest.raises(ValueError, match=r"\(None, 8\) and \(None, 9\)"):
        ZeroShotPrototypicalNetwork(f, g)
    with pytest.raises(ValueError, match="is not built"):
        ZeroShotPrototypicalNetwork(f, keras.Sequential([keras.layers.Dense(8)]))


def test_trajectory_network_looks_at_places_not_at_the_order_of_far_strokes():
    network = trajectory_network(6, points=64)
    rng = np.random.default_rng(0)
    strokes = rng.uniform(-1, 1, (4, 1, 16, 3)).astype("float32")
    strokes[:, :, :4] = strokes[:, :, -4:] = 0  # Nothing but what lies inside a stroke differs.
    one = network(np.concatenate(strokes, axis=1))
    other = network(np.concatenate(strokes[[2, 0, 3, 1]], axis=1))
    moved = network(np.concatenate(strokes + 0.3, axis=1))
    assert np.abs(one - other).max() < 0.2 * np.abs(one - moved).max()
