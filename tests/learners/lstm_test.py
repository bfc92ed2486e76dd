"""Tests of the LSTM meta-learner: its run, and every derivative of it, in double precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.layers import GatedLSTMCell
from meta_keras.learners import LSTMMetaLearner

STEPS = 3


@pytest.fixture
def make_learner(make_network, randomize_cell):
    def make(with_batch_norm=True, **kwargs):
        cell = GatedLSTMCell(units=2, dtype="float64")
        network = make_network(with_batch_norm)
        learner = LSTMMetaLearner(network, cell, inner_steps=STEPS, dtype="float64", **kwargs)
        randomize_cell(cell)
        return learner

    return make


@pytest.fixture
def episode(make_episodes):
    return make_episodes()


@pytest.mark.parametrize("second_order", [False, True])
@pytest.mark.parametrize("with_batch_norm", [True, False])
def test_meta_gradient(
    make_learner, episode, assert_meta_gradient, gated_lstm_reference, with_batch_norm, second_order
):
    learner = make_learner(with_batch_norm, second_order=second_order)
    assert_meta_gradient(learner, *episode, gated_lstm_reference)


@pytest.mark.parametrize("second_order", [False, True])
def test_both_batch_norm_modes_train_the_same(make_learner, episode, meta_gradient, second_order):
    learners = [
        make_learner(batch_norm=mode, second_order=second_order)
        for mode in ("transductive", "inductive")
    ]
    one, other = (meta_gradient(learner, *episode)[1] for learner in learners)
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-9, atol=1e-12)


def test_orders_differ(make_learner, episode, meta_gradient):
    first = meta_gradient(make_learner(), *episode)[1]["theta"]
    second = meta_gradient(make_learner(second_order=True), *episode)[1]["theta"]
    assert np.abs(first - second).max() > 1e-2 * np.abs(first).max()


def _as_gradient_descent(learner, rate):
    """Fixes the gates: f = 1, and i = `rate` whatever the cell sees."""
    cell = learner.cell
    for kernel in (cell.input_gate_kernel, cell.forget_gate_kernel):
        kernel.assign(np.zeros(kernel.shape))
    cell.forget_gate_bias.assign(50.0)
    cell.input_gate_bias.assign(np.log(rate / (1 - rate)))


def _descend(network, images, labels, batches, rate):
    """An ordinary training loop on a copy of `network`: the copy and its losses."""
    clone = keras.models.clone_model(network)
    clone.set_weights(network.get_weights())
    losses = []
    for batch in batches:
        with tf.GradientTape() as tape:
            logits = clone(images[batch], training=True)
            losses_of_pictures = tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels[batch], logits
            )
            loss = tf.reduce_mean(losses_of_pictures)
        variables = clone.trainable_variables
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign(variable - rate * gradient)
        losses.append(float(loss))
    return clone, losses


def _assert_is_gradient_descent(learner, x, batches, rate):
    images, labels = x["support_images"][0], x["support_labels"][0]
    clone, losses = _descend(learner.network, images, labels, batches, rate)
    adapted = learner.run_inner_loop(tf.constant(images), tf.constant(labels))
    np.testing.assert_allclose(adapted.losses, losses, rtol=1e-9)
    parts = zip(learner.flat.unflatten(adapted.parameters), clone.trainable_variables, strict=True)
    for actual, expected in parts:
        np.testing.assert_allclose(actual, expected.numpy(), rtol=1e-9, atol=1e-12)
    for actual, expected in zip(adapted.carry, clone.non_trainable_variables, strict=True):
        np.testing.assert_allclose(actual, expected.numpy(), rtol=1e-9)
    query = tf.constant(x["query_images"][0])
    for training in (False, True):  # the copy moves its statistics in training
        statistics = training or learner.is_transductive()
        expected = clone(query, training=statistics)
        actual = learner(x, training=training)[0]
        np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("with_batch_norm", [True, False])
@pytest.mark.parametrize("batch_norm", ["transductive", "inductive"])
def test_fixed_gates_are_gradient_descent(make_learner, episode, with_batch_norm, batch_norm):
    x, _ = episode
    learner = make_learner(with_batch_norm, batch_norm=batch_norm)
    _as_gradient_descent(learner, rate=0.3)
    _assert_is_gradient_descent(learner, x, [np.arange(6)] * STEPS, rate=0.3)


def test_gradient_divided_by_batch(make_learner, episode):
    x, _ = episode
    learner = make_learner(divide_gradient_by_batch=True)
    _as_gradient_descent(learner, rate=0.6)
    _assert_is_gradient_descent(learner, x, [np.arange(6)] * STEPS, rate=0.6 / 6)


@pytest.mark.parametrize(("divide", "rate"), [(False, 0.3), (True, 0.15)])
def test_mini_batches(make_learner, episode, divide, rate):
    x, _ = episode
    learner = make_learner(inner_batch_size=2, divide_gradient_by_batch=divide)
    _as_gradient_descent(learner, rate=0.3)
    batches = learner.inner_batches(6)
    _assert_is_gradient_descent(learner, x, batches, rate)


@pytest.mark.parametrize(("size", "batch_size"), [(6, 2), (6, 4), (6, 5), (25, 5)])
def test_every_epoch_covers_the_support_set_once(make_network, size, batch_size):
    learner = LSTMMetaLearner(make_network(), inner_steps=20, inner_batch_size=batch_size)
    batches = learner.inner_batches(size)
    assert [len(batch) for batch in batches] == [batch_size] * 20
    order = np.concatenate(batches)
    epochs = [tuple(order[k : k + size]) for k in range(0, len(order) - size + 1, size)]
    assert all(sorted(epoch) == list(range(size)) for epoch in epochs)
    assert len(set(epochs)) == len(epochs)
    np.testing.assert_array_equal(learner.inner_batches(size), batches)


def test_mini_batches_are_another_run_but_repeatable(make_learner, episode):
    x, _ = episode
    learner = make_learner(inner_batch_size=2)
    logits = np.array(learner(x))
    np.testing.assert_array_equal(learner(x), logits)
    np.testing.assert_array_equal(make_learner(inner_batch_size=2)(x), logits)
    assert np.abs(make_learner()(x) - logits).max() > 1e-3
    # The size of the whole support set is no mini-batch.
    np.testing.assert_array_equal(make_learner(inner_batch_size=6)(x), make_learner()(x))
