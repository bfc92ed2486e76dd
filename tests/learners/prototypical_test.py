"""Tests of prototypical networks against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.learners import PrototypicalNetwork


@pytest.fixture
def make_learner(make_embedding):
    def make(distance="euclidean", **kwargs):
        return PrototypicalNetwork(make_embedding(), distance, dtype="float64", **kwargs)

    return make


def _embed(learner, images):
    return np.array(learner.embedding(images))


def _prototypes(learner, x, episode):
    support = _embed(learner, x["support_images"][episode])
    labels = x["support_labels"][episode]
    return np.array([support[labels == n].mean(0) for n in range(labels.max() + 1)])


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_euclidean_logits(make_learner, make_episodes, temperature):
    x, _ = make_episodes(2, classes=4, kshot=3)
    learner = make_learner(temperature=temperature)
    for k in range(2):
        query = _embed(learner, x["query_images"][k])
        prototypes = _prototypes(learner, x, k)
        expected = [[-np.sum((z - c) ** 2) / temperature for c in prototypes] for z in query]
        np.testing.assert_allclose(learner(x)[k], expected, rtol=1e-12)


def test_cosine_logits(make_learner, make_episodes):
    x, _ = make_episodes(kshot=3)
    learner = make_learner("cosine", temperature=0.2)
    expected = [
        [z @ c / np.linalg.norm(z) / np.linalg.norm(c) / 0.2 for c in _prototypes(learner, x, 0)]
        for z in _embed(learner, x["query_images"][0])
    ]
    np.testing.assert_allclose(learner(x)[0], expected, rtol=1e-10)


def test_it_is_a_linear_classifier(make_learner, make_episodes):
    """w_n = 2 c_n, b_n = -||c_n||^2: the same probabilities (Snell et al. 2017, equation 8)."""
    x, _ = make_episodes(kshot=3)
    learner = make_learner(temperature=0.7)
    c = _prototypes(learner, x, 0)
    query = _embed(learner, x["query_images"][0])
    linear = (query @ (2 * c.T) - np.sum(c**2, 1)) / 0.7
    difference = np.array(learner(x)[0]) - linear
    np.testing.assert_allclose(difference, difference[:, :1] * np.ones(3), atol=1e-12)
    np.testing.assert_allclose(difference[:, 0], -np.sum(query**2, 1) / 0.7, rtol=1e-10)

    classifier = learner.adapt(x["support_images"][0], x["support_labels"][0])
    kernel, bias = classifier.get_layer("prototypes").get_weights()
    np.testing.assert_allclose(kernel, 2 * c.T / 0.7, rtol=1e-12)
    np.testing.assert_allclose(bias, -np.sum(c**2, 1) / 0.7, rtol=1e-12)


def test_cosine_classifier_is_linear_on_the_unit_sphere(make_learner, make_episodes):
    x, _ = make_episodes()
    learner = make_learner("cosine", temperature=0.5)
    c = _prototypes(learner, x, 0)
    classifier = learner.adapt(x["support_images"][0], x["support_labels"][0])
    (kernel,) = classifier.get_layer("prototypes").get_weights()
    np.testing.assert_allclose(kernel, (c / np.linalg.norm(c, axis=1, keepdims=True)).T / 0.5)


def test_a_vanished_embedding_has_no_direction():
    """ReLUs may give zeros: then cosine says nothing, and its gradient is finite."""
    images = keras.Input((6, 6, 1))
    flat = keras.layers.Dense(2, kernel_initializer="ones")(keras.layers.Flatten()(images))
    network = keras.Model(images, keras.layers.ReLU()(flat))
    learner = PrototypicalNetwork(network, "cosine")
    ones = np.ones((1, 2, 6, 6, 1), "float32")
    x = {
        "support_images": ones,
        "support_labels": np.array([[0, 1]]),
        "query_images": ones * np.array([-1, 1]).reshape(1, 2, 1, 1, 1),
    }
    with tf.GradientTape() as tape:
        logits = learner(x)
    np.testing.assert_allclose(logits[0], [[0, 0], [1, 1]], atol=1e-6)
    gradients = tape.gradient(logits, learner.trainable_variables)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_batch_statistics_are_those_of_support_and_query_together(make_learner, make_episodes):
    x, _ = make_episodes()
    learner = make_learner()
    images = np.concatenate([x["support_images"][0], x["query_images"][0]])
    together = np.array(learner.embedding(images, training=True))
    c = together[:6].reshape(3, 2, -1).mean(1)
    expected = -np.sum((together[6:, None] - c) ** 2, -1)
    np.testing.assert_allclose(learner(x, training=True)[0], expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("argument", "value"), [("distance", "manhattan"), ("temperature", 0.0), ("temperature", -1)]
)
def test_bad_arguments(make_embedding, argument, value):
    with pytest.raises(ValueError, match=f"PrototypicalNetwork: {argument} .*{value}"):
        PrototypicalNetwork(make_embedding(), **{argument: value})
