"""Tests of matching networks against NumPy."""

import numpy as np
import pytest

from meta_keras.learners import MatchingNetwork
from meta_keras.learners.matching import log_attention, log_class_probabilities


def _softmax(scores):
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    return scores / scores.sum(-1, keepdims=True)


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _unit(z):
    return z / np.linalg.norm(z, axis=-1, keepdims=True)


def _attention(query, support, temperature):
    return _softmax(_unit(query) @ _unit(support).T / temperature)


@pytest.fixture
def vectors():
    """Embeddings of 7 query and 6 support pictures of 3 classes, and the classes' members."""
    rng = np.random.default_rng(0)
    labels = np.array([0, 1, 2, 1, 0, 2])
    return rng.normal(size=(7, 5)), rng.normal(size=(6, 5)), np.eye(3)[labels]


@pytest.mark.parametrize("temperature", [1.0, 0.05])
def test_attention(vectors, temperature):
    query, support, members = vectors
    log_a = log_attention(query, support, temperature)
    a = np.exp(log_a)
    np.testing.assert_allclose(a, _attention(query, support, temperature), rtol=1e-10)
    np.testing.assert_allclose(a.sum(-1), 1, rtol=1e-12)
    probabilities = np.exp(log_class_probabilities(log_a, members))
    np.testing.assert_allclose(probabilities, a @ members, rtol=1e-10)
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-12)


def test_attention_becomes_nearest_neighbour(vectors):
    query, support, members = vectors
    log_a = log_attention(query, support, 1e-4)
    nearest = np.argmax(_unit(query) @ _unit(support).T, axis=-1)
    np.testing.assert_allclose(np.exp(log_a), np.eye(6)[nearest], atol=1e-12)
    log_p = np.array(log_class_probabilities(log_a, members))
    np.testing.assert_allclose(np.exp(log_p), members[nearest], atol=1e-12)
    # The others' logarithms are far below what an exponential can hold, but finite.
    assert np.isfinite(log_p).all()
    assert log_p.min() < -800


def test_logits_are_log_probabilities(make_embedding, make_episodes):
    x, _ = make_episodes(2, classes=4, kshot=3)
    learner = MatchingNetwork(make_embedding(), temperature=0.3, dtype="float64")
    for k in range(2):
        query, support = (
            np.array(learner.embedding(x[f"{part}_images"][k])) for part in ("query", "support")
        )
        members = np.eye(4)[x["support_labels"][k]]
        expected = np.log(_attention(query, support, 0.3) @ members)
        np.testing.assert_allclose(learner(x)[k], expected, rtol=1e-10)


def _lstm(weights, x, h, c):
    """Hochreiter & Schmidhuber's cell, gates in Keras' order."""
    kernel, recurrent, bias = weights
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4, axis=-1)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(c), c


@pytest.mark.parametrize("steps", [1, 3])
def test_full_context(make_embedding, make_episodes, steps):
    """Appendix A of Vinyals et al., written out."""
    x, _ = make_episodes()
    learner = MatchingNetwork(
        make_embedding(), full_context=True, read_steps=steps, dtype="float64"
    )
    rng = np.random.default_rng(6)
    layers = learner.support_lstm.forward_layer, learner.support_lstm.backward_layer
    for layer in (*layers, learner.query_cell):
        layer.set_weights([rng.normal(0, 0.6, w.shape) for w in layer.get_weights()[:3]])
    query, support = (
        np.array(learner.embedding(x[f"{part}_images"][0])) for part in ("query", "support")
    )
    g = support.copy()
    for layer, order in zip(layers, (range(6), reversed(range(6))), strict=True):
        h = c = np.zeros(4)
        for i in order:
            h, c = _lstm(layer.get_weights()[:3], support[i], h, c)
            g[i] += h
    f = []
    for z in query:
        h = c = np.zeros(4)
        for _ in range(steps):
            r = _softmax(g @ h) @ g
            h, c = _lstm(learner.query_cell.get_weights()[:3], np.concatenate([z, r]), h, c)
            h = h + z
        f.append(h)
    expected = np.log(_attention(np.array(f), g, 1.0) @ np.eye(3)[x["support_labels"][0]])
    np.testing.assert_allclose(learner(x)[0], expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("temperature", 0.0), ("temperature", -1), ("read_steps", 0), ("read_steps", 1.5)],
)
def test_bad_arguments(make_embedding, argument, value):
    with pytest.raises(ValueError, match=f"MatchingNetwork: {argument} .*{value}"):
        MatchingNetwork(make_embedding(), **{argument: value})
