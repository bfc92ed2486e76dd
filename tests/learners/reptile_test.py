"""Tests of Reptile's outer update against its formula, in double precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras import Reptile
from meta_keras.layers import AdamCell, GradientDescentCell, MetaSGDCell

STEPS, RATE, EPSILON = 4, 0.25, 0.5  # powers of two: Keras keeps the outer rate in float32


def _descent_step(meta, gradient, loss, theta, state):
    return theta - RATE * gradient, state


def _adam_step(meta, gradient, loss, theta, state):
    """Kingma & Ba 2015, algorithm 1, with beta_1 = 0."""
    v, t = state or (np.zeros_like(theta), 0)
    v, t = 0.999 * v + 0.001 * gradient**2, t + 1
    # Section 2's order of operations decides where epsilon stands.
    rate = RATE * np.sqrt(1 - 0.999**t)
    return theta - rate * gradient / (np.sqrt(v) + 1e-7), (v, t)


CELLS = {
    "sgd": (lambda: GradientDescentCell(RATE, dtype="float64"), _descent_step),
    "adam": (lambda: AdamCell(RATE, beta_1=0.0, dtype="float64"), _adam_step),
}


@pytest.fixture
def make_learner(make_network):
    def make(cell="sgd", **kwargs):
        arguments = {"inner_steps": STEPS, "inner_batch_size": 4, **kwargs}
        learner = Reptile(make_network(), CELLS[cell][0](), dtype="float64", **arguments)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        learner.compile(
            keras.optimizers.SGD(EPSILON), loss, metrics=["accuracy"], jit_compile=False
        )
        return learner

    return make


@pytest.fixture
def expected(make_reference):
    """Function: initial weights, those after the update, and query losses, from the formula."""

    def compute(learner, x, y, cell_step):
        reference = make_reference(learner.network, cell_step, STEPS)
        theta = np.array(learner.flat.parameters())
        batches = learner.inner_batches(x["support_labels"].shape[1], training=True)
        adapted, losses = [], []
        for images, labels, query, answers in zip(
            x["support_images"], x["support_labels"], x["query_images"], y, strict=True
        ):
            after, _ = reference.run({"theta": theta}, images, labels, batches=batches)
            adapted.append(after)
            losses.append(reference.query_loss(after, query, answers))
        return theta, theta + EPSILON * np.mean([a - theta for a in adapted], axis=0), losses

    return compute


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("eagerly", [True, False])
def test_update(make_learner, make_episodes, expected, cell, eagerly):
    x, y = make_episodes(3, kshot=4)
    learner = make_learner(cell)
    learner.run_eagerly = eagerly
    before, after, losses = expected(learner, x, y, CELLS[cell][1])
    logs = learner.train_on_batch(x, y, return_dict=True)
    theta = np.array(learner.flat.parameters())
    np.testing.assert_allclose(theta, after, rtol=1e-8, atol=1e-11)
    assert np.abs(theta - before).max() > 1e-2
    assert logs["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert 0 <= logs["accuracy"] <= 1


def test_query_pictures_do_not_train(make_learner, make_episodes):
    x, y = make_episodes(2)
    learners = make_learner(), make_learner()
    for learner in learners:
        learner.run_eagerly = True
    learners[0].train_on_batch(x, y)
    learners[1].train_on_batch({**x, "query_images": 1 - x["query_images"]}, y[:, ::-1])
    np.testing.assert_array_equal(*(learner.flat.parameters() for learner in learners))


def test_weights_of_episodes_weigh_the_moves(make_learner, make_episodes, expected):
    """theta + epsilon (1/n) sum_i w_i (theta~_i - theta), of single episodes' moves."""
    x, y = make_episodes(2, kshot=4)
    learner = make_learner()
    learner.run_eagerly = True
    moves = []
    for n in range(2):
        alone = {name: part[n : n + 1] for name, part in x.items()}
        before, after, _ = expected(learner, alone, y[n : n + 1], _descent_step)
        moves.append(after - before)
    learner.train_on_batch(x, y, sample_weight=np.array([0.5, 2.0]))
    after = before + (0.5 * moves[0] + 2.0 * moves[1]) / 2
    np.testing.assert_allclose(learner.flat.parameters(), after, rtol=1e-8, atol=1e-11)
    with pytest.raises(ValueError, match=r"sample_weight must be \[B\], of episodes"):
        learner.train_on_batch(x, y, sample_weight=np.ones(y.shape))


@pytest.mark.parametrize("dtype", ["int64", "float64"])
def test_weights_of_any_type(make_network, make_episodes, dtype):
    x, y = make_episodes(2, dtype="float32")
    learner = Reptile(make_network(dtype="float32"))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner.compile("sgd", loss, run_eagerly=True)
    before = [v.numpy() for v in learner.trainable_variables]
    learner.train_on_batch(x, y, sample_weight=np.array([0, 0], dtype))
    for one, other in zip(before, learner.trainable_variables, strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="Reptile: the query labels are missing"):
        learner.train_on_batch(x)


def test_weights_of_losses_are_refused(make_learner):
    with pytest.raises(ValueError, match=r"Reptile: loss_weights=\[2.0\] has no meaning"):
        make_learner().compile("sgd", "mse", loss_weights=[2.0])


def test_unknown_batch_size(make_learner, make_episodes):
    x, y = make_episodes(2)
    static, dynamic = make_learner(), make_learner()
    static.train_on_batch(x, y)
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(2)
    assert dataset.element_spec[1].shape[0] is None
    dynamic.fit(dataset, verbose=0)
    parameters = static.flat.parameters(), dynamic.flat.parameters()
    np.testing.assert_allclose(*parameters, rtol=1e-9, atol=1e-12)


def test_meta_gradient_is_minus_the_mean_move(make_learner, make_episodes, expected):
    x, y = make_episodes(2)
    learner = make_learner()
    before, after, _ = expected(learner, x, y, _descent_step)
    gradient = np.concatenate([np.ravel(part) for part in learner.meta_gradient(x, y)])
    np.testing.assert_allclose(gradient, (before - after) / EPSILON, rtol=1e-8, atol=1e-11)


def test_a_smaller_support_set_at_test_is_taken_whole(make_learner, make_episodes):
    x, _ = make_episodes(kshot=1)
    learner = make_learner(test_inner_steps=6)
    np.testing.assert_array_equal(learner(x), make_learner(inner_batch_size=None, inner_steps=6)(x))
    with pytest.raises(ValueError, match=r"inner_batch_size=4 .* 3 pictures"):
        learner(x, training=True)


def test_arguments_it_refuses(make_network):
    with pytest.raises(ValueError, match="second_order=True"):
        Reptile(make_network(), second_order=True)
    with pytest.raises(ValueError, match="'rates' has weights"):
        Reptile(make_network(), MetaSGDCell(name="rates"))


def test_default_cell_is_the_papers(make_network):
    cell = Reptile(make_network()).cell
    assert (type(cell), cell.learning_rate, cell.beta_1) == (AdamCell, 1e-3, 0.0)


def test_episodes_are_independent_in_training(make_learner, make_episodes):
    """The move of a meta-batch is the mean of the moves its episodes make alone."""
    x, y = make_episodes(3)
    learner = make_learner()
    together = learner.meta_gradient(x, y)
    alone = [
        learner.meta_gradient({name: v[k : k + 1] for name, v in x.items()}, y[k : k + 1])
        for k in range(3)
    ]
    for mean, *parts in zip(together, *alone, strict=True):
        np.testing.assert_allclose(mean, np.mean(parts, axis=0), rtol=1e-9, atol=1e-12)
