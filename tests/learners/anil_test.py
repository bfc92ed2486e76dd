"""Tests of ANIL: only the head is adapted, and all of the network is learned."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras import MAML, LSTMMetaLearner, MetaSGD, Reptile
from meta_keras.functional import FlatNetwork, head_of
from meta_keras.layers import GatedLSTMCell, GradientDescentCell, MetaSGDCell
from tests.learners.differences import assert_derivatives

RATE = 0.4


@pytest.fixture
def make_learner(make_network):
    def make(inner_steps=2, second_order=True, **kwargs):
        network, cell = make_network(**kwargs), GradientDescentCell(RATE, dtype="float64")
        return MAML(network, cell, inner_steps, second_order, anil=True, dtype="float64")

    return make


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def body_of(network):
    """Function of pictures: what enters the logits, with the statistics of the batch."""
    body = keras.Model(network.inputs, network.layers[-1].input)
    return tf.function(lambda images: body([images], training=True))


def adapted_logits(network, body, x, steps):
    """Plain gradient descent of softmax regression on features that stay, in NumPy."""
    support, query = (body(x[name][0]).numpy() for name in ("support_images", "query_images"))
    labels = np.eye(3)[x["support_labels"][0]]
    kernel, bias = network.layers[-1].get_weights()
    for _ in range(steps):
        error = (softmax(support @ kernel + bias) - labels) / len(support)
        kernel, bias = kernel - RATE * support.T @ error, bias - RATE * error.sum(axis=0)
    return query @ kernel + bias


def query_loss(logits, y):
    return -np.mean(np.log(softmax(logits)[np.arange(len(y)), y]))


def test_inner_loop_is_softmax_regression_on_fixed_features(make_learner, make_episodes):
    x, _ = make_episodes()
    learner = make_learner()
    expected = adapted_logits(learner.network, body_of(learner.network), x, steps=2)
    np.testing.assert_allclose(learner(x, training=True)[0], expected, rtol=1e-9)
    assert learner.flat.size == sum(v.numpy().size for v in learner.network.layers[-1].weights)


def test_meta_gradient(make_learner, make_episodes):
    """Of every weight, the body's through the inner steps too, against central differences."""
    x, y = make_episodes()
    learner = make_learner()
    variables, body = learner.network.trainable_variables, body_of(learner.network)
    assert len(variables) == len(learner.trainable_variables)
    with tf.GradientTape() as tape:
        logits = learner(x, training=True)[0]
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y[0], logits))
    assert_derivatives(
        variables,
        tape.gradient(loss, variables),
        lambda: query_loss(adapted_logits(learner.network, body, x, steps=2), y[0]),
    )


def test_adapt_changes_the_head_alone(make_learner, make_episodes):
    x, _ = make_episodes()
    learner = make_learner()
    classifier = learner.adapt(x["support_images"][0], x["support_labels"][0])
    np.testing.assert_allclose(classifier(x["query_images"][0]), learner(x)[0], rtol=1e-9)
    weights = zip(classifier.trainable_variables, learner.network.trainable_variables, strict=True)
    *body, kernel, bias = [np.abs(a.numpy() - b.numpy()).max() for a, b in weights]
    assert not any(body) and kernel > 0 and bias > 0


@pytest.mark.parametrize(
    ("learner", "cell"), [(LSTMMetaLearner, GatedLSTMCell), (MetaSGD, MetaSGDCell)]
)
def test_other_cells_see_the_head_alone(learner, cell, make_network, make_episodes):
    x, _ = make_episodes(dtype="float32")
    network = make_network(dtype="float32")
    learner = learner(network, cell(), anil=True)
    head = network.layers[-1]
    assert learner.flat.size == sum(v.numpy().size for v in head.weights)
    assert head_of(keras.Sequential([network])) is head
    assert np.isfinite(learner(x)).all()


def test_refusals(make_network):
    with pytest.raises(ValueError, match="Reptile: .*anil=True"):
        Reptile(make_network(dtype="float32"), anil=True)
    with pytest.raises(ValueError, match="MAML: anil must be True or False, got 'head'"):
        MAML(make_network(dtype="float32"), anil="head")
    network = make_network()
    network.layers[-1].trainable = False
    with pytest.raises(ValueError, match="has no trainable weights to adapt"):
        FlatNetwork(network, head_only=True)


class HeadFirst(keras.Model):
    """Makes its head before what comes before it."""

    def __init__(self):
        super().__init__()
        self.head, self.body = keras.layers.Dense(3), keras.layers.Dense(4)

    def call(self, x):
        return self.head(self.body(x))


def test_networks_without_a_head_that_can_be_told_are_refused():
    subclassed = HeadFirst()
    subclassed(np.ones((1, 6), "float32"))
    with pytest.raises(ValueError, match="HeadFirst does not tell which of its layers is the last"):
        MAML(subclassed, anil=True)
    inputs = keras.Input((6,))
    two = keras.layers.Add()([keras.layers.Dense(3)(inputs), keras.layers.Dense(3)(inputs)])
    with pytest.raises(ValueError, match="has no head that anil=True could adapt alone"):
        MAML(keras.Model(inputs, two), anil=True)
