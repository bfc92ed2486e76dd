"""Tests of the LSTM meta-learner: its run, and every derivative of it, in double precision.

The reference shares nothing with the package: an ordinary Keras network whose variables are
assigned, the paper's equations in NumPy, and finite differences instead of an outer tape.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.layers import GatedLSTMCell
from meta_keras.learners import LSTMMetaLearner

STEPS, EPSILON = 3, 1e-5


def _cross_entropy(labels, logits):
    # The losses of Keras compute in float32.
    log_probabilities = tf.nn.log_softmax(logits)
    return -tf.reduce_mean(tf.gather(log_probabilities, labels, axis=1, batch_dims=1))


class Reference:
    """The learner's computation, with meta-parameters as a dict of arrays.

    The dict holds the cell's weights by name and the initial parameters, flat, as `theta`.
    """

    def __init__(self, network, cell_step):
        self.network = keras.models.clone_model(network)
        self.statistics = [variable.numpy() for variable in network.non_trainable_variables]
        self.cell_step = cell_step

        @tf.function
        def loss_and_gradient(images, labels):
            variables = [variable.value for variable in self.network.trainable_variables]
            with tf.GradientTape() as tape:
                logits = self.network(images, training=True)
                loss = _cross_entropy(labels, logits)
            gradient = tape.gradient(loss, variables)
            return loss, tf.concat([tf.reshape(part, [-1]) for part in gradient], 0)

        self.compute = loss_and_gradient

    def assign(self, theta):
        for variable in self.network.trainable_variables:
            size = variable.numpy().size
            variable.assign(theta[:size].reshape(variable.shape))
            theta = theta[size:]

    def run(self, meta, images, labels, constants=None):
        """Adapts. Returns theta and the list of every step's loss and gradient.

        With `constants`, such a list, the network is not asked: the cell sees the constants.
        """
        for variable, value in zip(
            self.network.non_trainable_variables, self.statistics, strict=True
        ):
            variable.assign(value)
        theta, state, seen = meta["theta"], None, []
        for step in range(STEPS):
            if constants is None:
                self.assign(theta)
                seen.append([x.numpy() for x in self.compute(images, labels)])
            loss, gradient = (constants or seen)[step]
            theta, state = self.cell_step(meta, gradient, loss, theta, state)
        return theta, seen

    def query_loss(self, theta, images, labels):
        self.assign(theta)
        return self.compute(images, labels)[0].numpy()


def _meta_parameters(learner):
    """Copies of the learner's weights as `Reference` wants them."""
    meta = {variable.name: variable.numpy() for variable in learner.cell.trainable_variables}
    theta = [variable.numpy().ravel() for variable in learner.network.trainable_variables]
    return {**meta, "theta": np.concatenate(theta)}


def _meta_gradient(learner, x, labels):
    """The learner's query loss and its gradient, a dict in the form of `_meta_parameters`."""
    cell_variables = learner.cell.trainable_variables
    variables = [v.value for v in [*cell_variables, *learner.network.trainable_variables]]
    with tf.GradientTape() as tape:
        loss = _cross_entropy(labels[0], learner(x, training=True)[0])
    gradients = [np.array(gradient) for gradient in tape.gradient(loss, variables)]
    gradient = {v.name: g for v, g in zip(cell_variables, gradients, strict=False)}
    theta = [g.ravel() for g in gradients[len(cell_variables) :]]
    return loss, {**gradient, "theta": np.concatenate(theta)}


def _numerical_gradient(function, meta):
    """Central differences of `function(meta)` in every single number of `meta`."""
    gradient = {name: np.zeros_like(value) for name, value in meta.items()}
    for name, value in meta.items():
        for index in np.ndindex(value.shape):
            ends = []
            for step in (EPSILON, -EPSILON):
                moved = np.array(value)
                moved[index] += step
                ends.append(function({**meta, name: moved}))
            gradient[name][index] = (ends[0] - ends[1]) / (2 * EPSILON)
    return gradient


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


def _assert_meta_gradient(learner, x, y, gated_lstm_reference):
    reference = Reference(learner.network, gated_lstm_reference)
    meta = _meta_parameters(learner)
    support = x["support_images"][0], x["support_labels"][0]
    _, seen = reference.run(meta, *support)
    # In first order, what the cell sees of the network is held at its recorded values.
    constants = None if learner.second_order else seen

    def query_loss(meta):
        theta, _ = reference.run(meta, *support, constants)
        return reference.query_loss(theta, x["query_images"][0], y[0])

    loss, gradient = _meta_gradient(learner, x, y)
    np.testing.assert_allclose(loss, query_loss(meta), rtol=1e-10)
    expected = _numerical_gradient(query_loss, meta)
    for name in meta:
        # Relative to the largest entry, not to each: a difference of losses has about ten digits.
        scale = np.abs(expected[name]).max()
        assert scale > 1e-5, f"{name} does not matter here"
        np.testing.assert_allclose(
            gradient[name] / scale, expected[name] / scale, rtol=1e-4, atol=1e-5, err_msg=name
        )


@pytest.mark.parametrize("second_order", [False, True])
@pytest.mark.parametrize("with_batch_norm", [True, False])
def test_meta_gradient(make_learner, episode, gated_lstm_reference, with_batch_norm, second_order):
    learner = make_learner(with_batch_norm, second_order=second_order)
    _assert_meta_gradient(learner, *episode, gated_lstm_reference)


@pytest.mark.parametrize("second_order", [False, True])
def test_both_batch_norm_modes_train_the_same(make_learner, episode, second_order):
    learners = [
        make_learner(batch_norm=mode, second_order=second_order)
        for mode in ("transductive", "inductive")
    ]
    one, other = (_meta_gradient(learner, *episode)[1] for learner in learners)
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-9, atol=1e-12)


def test_orders_differ(make_learner, episode):
    first = _meta_gradient(make_learner(), *episode)[1]["theta"]
    second = _meta_gradient(make_learner(second_order=True), *episode)[1]["theta"]
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
            loss = _cross_entropy(labels[batch], clone(images[batch], training=True))
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
