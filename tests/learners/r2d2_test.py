"""Tests of R2-D2: the D x D normal equations in NumPy, and finite differences."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.learners import R2D2
from tests.learners.differences import assert_derivatives


@pytest.fixture
def make_learner(make_embedding):
    def make(**kwargs):
        learner = R2D2(make_embedding(), dtype="float64", **{"ridge": 0.3, "scale": 3.0, **kwargs})
        learner.beta.assign(0.7)
        return learner

    return make


def normal_equations(x, y, ridge):
    """(X^T X + lambda I)^-1 X^T Y: without Woodbury's identity."""
    return np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ y)


@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("kshot", [1, 3])  # S = 3 < D = 4 < S = 9
def test_equation(make_learner, make_episodes, kshot, unit):
    x, _ = make_episodes(2, kshot=kshot)
    learner = make_learner(unit=unit)
    for episode in range(2):
        support, query = (
            np.array(learner.embedding(x[name][episode]))
            for name in ("support_images", "query_images")
        )
        if unit:
            support, query = (z / np.linalg.norm(z, axis=1)[:, None] for z in (support, query))
        labels = np.eye(3)[x["support_labels"][episode]]
        w = normal_equations(support, labels, 0.3)
        np.testing.assert_allclose(learner(x)[episode], 3 * query @ w + 0.7, rtol=1e-8)
        classifier = learner.adapt(x["support_images"][episode], x["support_labels"][episode])
        logits = classifier(x["query_images"][episode])
        np.testing.assert_allclose(logits, 3 * query @ w + 0.7, rtol=1e-8)
        kernel, bias = classifier.get_layer("regression").get_weights()
        np.testing.assert_allclose(kernel, 3 * w, rtol=1e-8)
        np.testing.assert_allclose(bias, 0.7)


def test_meta_gradient(make_learner, make_episodes):
    """Of every number of embedding, lambda, alpha and beta, against central differences."""
    x, y = make_episodes(kshot=2)
    learner = make_learner()

    @tf.function
    def loss():
        # A square: the softmax does not see beta.
        errors = learner(x, training=True)[0] - tf.one_hot(y[0], 3, dtype="float64")
        return tf.reduce_mean(errors**2)

    variables = learner.trainable_variables
    assert {"log_ridge", "alpha", "beta"} < {v.name for v in variables}
    with tf.GradientTape() as tape:
        value = loss()
    assert_derivatives(variables, tape.gradient(value, variables), loss)


def test_the_ridge_is_learned_and_stays_positive(make_embedding, make_episodes):
    x, y = make_episodes(dtype="float32")
    learner = R2D2(make_embedding(dtype="float32"))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner.compile(keras.optimizers.Adam(0.3), loss, run_eagerly=True)
    first = learner.train_on_batch(x, y)
    for _ in range(3):
        last = learner.train_on_batch(x, y)
    assert last < first
    ridge = float(tf.exp(learner.log_ridge))
    assert ridge > 0 and abs(ridge - 1.0) > 0.1
    assert learner.get_config()["ridge"] == 1.0  # Where it began.


def test_refusals(make_embedding):
    for name, value in (("ridge", 0.0), ("ridge", float("inf")), ("scale", -1.0)):
        with pytest.raises(ValueError, match=f"R2D2: {name} must be positive.*, got {value}"):
            R2D2(make_embedding(), **{name: value})
    with pytest.raises(ValueError, match="R2D2: unit must be True or False, got 2"):
        R2D2(make_embedding(), unit=2)
