"""Tests of MAML, FOMAML and Meta-SGD: meta-gradients in double precision."""

import numpy as np
import pytest
import tensorflow as tf

from meta_keras import MAML, MetaSGD, unroll
from meta_keras.layers import GradientDescentCell, MetaSGDCell

RATE = 0.7


def _descent_step(meta, gradient, loss, theta, state):
    return theta - RATE * gradient, state


def _meta_sgd_step(meta, gradient, loss, theta, state):
    return theta - meta["alpha"] * gradient, state


@pytest.fixture
def make_maml(make_network):
    def make(with_batch_norm=True, **kwargs):
        cell = GradientDescentCell(RATE, dtype="float64")
        return MAML(make_network(with_batch_norm), cell, dtype="float64", **kwargs)

    return make


@pytest.fixture
def make_meta_sgd(make_network):
    def make(with_batch_norm=True, rates=None, **kwargs):
        cell = MetaSGDCell(dtype="float64")
        learner = MetaSGD(make_network(with_batch_norm), cell, dtype="float64", **kwargs)
        rng = np.random.default_rng(1)
        size = learner.flat.size
        cell.alpha.assign(rng.uniform(-0.2, 1.0, size) if rates is None else np.full(size, rates))
        return learner

    return make


@pytest.fixture
def episode(make_episodes):
    return make_episodes()


def test_defaults(make_network):
    assert MAML(make_network()).second_order and MetaSGD(make_network()).second_order
    assert MAML(make_network()).cell.learning_rate == 0.4
    assert not MAML(make_network(), second_order=False).second_order


@pytest.mark.parametrize("second_order", [True, False])
@pytest.mark.parametrize(("with_batch_norm", "steps"), [(True, 1), (True, 3), (False, 2)])
def test_meta_gradient_of_maml(
    make_maml, episode, assert_meta_gradient, with_batch_norm, steps, second_order
):
    learner = make_maml(with_batch_norm, inner_steps=steps, second_order=second_order)
    assert_meta_gradient(learner, *episode, _descent_step)


@pytest.mark.parametrize("second_order", [True, False])
def test_meta_gradient_of_meta_sgd(make_meta_sgd, episode, assert_meta_gradient, second_order):
    learner = make_meta_sgd(inner_steps=2, second_order=second_order)
    assert_meta_gradient(learner, *episode, _meta_sgd_step)


def test_meta_gradient_of_fomaml_is_the_query_gradient_at_the_adapted_weights(
    make_maml, episode, meta_gradient, make_reference
):
    """Finn et al. 2017, section 5.2: the derivative of the inner gradients is left out."""
    x, y = episode
    learner = make_maml(inner_steps=3, second_order=False)
    gradient = meta_gradient(learner, x, y)[1]["theta"]
    reference = make_reference(learner.network, _descent_step, steps=3)
    theta = np.array(learner.flat.parameters())
    adapted, _ = reference.run({"theta": theta}, x["support_images"][0], x["support_labels"][0])
    reference.assign(adapted)
    _, expected = reference.compute(x["query_images"][0], y[0])
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)
    second = meta_gradient(make_maml(inner_steps=3), x, y)[1]["theta"]
    assert np.abs(second - gradient).max() > 1e-2 * np.abs(gradient).max()


def _quadratic(rng, size):
    """A, b of the loss theta^T A theta / 2 - b^T theta, A symmetric."""
    factor = rng.normal(size=(size, size)) / np.sqrt(size)
    return factor @ factor.T, rng.normal(size=size)


def _quadratic_loss(matrix, vector):
    matrix, vector = tf.constant(matrix), tf.constant(vector)
    return lambda theta: (
        tf.tensordot(theta, tf.linalg.matvec(matrix, theta), 1) / 2 - tf.tensordot(vector, theta, 1)
    )


@pytest.mark.parametrize("steps", [1, 4])
def test_closed_form_on_a_quadratic(make_maml, make_meta_sgd, steps):
    """The Jacobian of T steps is (I - alpha A)^T, and the query gradient is C theta' - d.

    With a rate per coordinate it is (I - diag(alpha) A)^T, and the gradient by the rates follows
    from that of every step by the chain rule.
    """
    rng = np.random.default_rng(0)
    maml, meta_sgd = make_maml(inner_steps=steps), make_meta_sgd(inner_steps=steps)
    size = maml.flat.size
    (a, b), (c, d) = _quadratic(rng, size), _quadratic(rng, size)
    start = rng.normal(size=size)
    support, query = _quadratic_loss(a, b), _quadratic_loss(c, d)

    for learner, rates in (
        (maml, np.full(size, RATE)),
        (make_maml(inner_steps=steps, second_order=False), np.full(size, RATE)),
        (meta_sgd, np.array(meta_sgd.cell.alpha)),
    ):
        theta = tf.constant(start)
        variables = [theta, *(v.value for v in learner.cell.trainable_variables)]
        with tf.GradientTape() as tape:
            tape.watch(theta)
            run = unroll(
                learner.cell,
                lambda theta, step, carry: (support(theta), carry),
                theta,
                learner.inner_steps,
                second_order=learner.second_order,
            )
            loss = query(run.parameters)
        gradients = tape.gradient(loss, variables)

        points = [start]
        for _ in range(steps):
            points.append(points[-1] - rates * (a @ points[-1] - b))
        query_gradient = c @ points[-1] - d
        jacobian = np.eye(size) - rates[:, None] * a if learner.second_order else np.eye(size)
        expected = np.linalg.matrix_power(jacobian, steps).T @ query_gradient
        np.testing.assert_allclose(run.parameters, points[-1], rtol=1e-9)
        np.testing.assert_allclose(gradients[0], expected, rtol=1e-8, atol=1e-12)
        if learner is meta_sgd:
            expected = sum(
                -(a @ points[t] - b)
                * (np.linalg.matrix_power(jacobian, steps - 1 - t).T @ query_gradient)
                for t in range(steps)
            )
            np.testing.assert_allclose(gradients[1], expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("second_order", [True, False])
def test_meta_sgd_with_equal_rates_is_maml(
    make_maml, make_meta_sgd, episode, meta_gradient, second_order
):
    arguments = {"inner_steps": 2, "second_order": second_order, "test_inner_steps": 3}
    maml, meta_sgd = make_maml(**arguments), make_meta_sgd(rates=RATE, **arguments)
    loss, gradient = meta_gradient(maml, *episode)
    same_loss, same_gradient = meta_gradient(meta_sgd, *episode)
    np.testing.assert_allclose(same_loss, loss, rtol=1e-12)
    np.testing.assert_allclose(same_gradient["theta"], gradient["theta"], rtol=1e-9, atol=1e-13)
    assert np.abs(same_gradient["alpha"]).max() > 1e-3
    np.testing.assert_allclose(meta_sgd(episode[0]), maml(episode[0]), rtol=1e-10)
    different = make_meta_sgd(**arguments)
    assert np.abs(different(episode[0]) - maml(episode[0])).max() > 1e-2


@pytest.mark.parametrize("training", [True, False])
def test_other_number_of_steps_at_test(make_maml, episode, training):
    x, _ = episode
    learner = make_maml(inner_steps=2, test_inner_steps=5)
    expected = make_maml(inner_steps=2 if training else 5)
    np.testing.assert_array_equal(learner(x, training=training), expected(x, training=training))
    others = learner(x, training=not training)
    assert np.abs(others - expected(x, training=training)).max() > 1e-2
    support = tf.constant(x["support_images"][0]), tf.constant(x["support_labels"][0])
    assert len(learner.run_inner_loop(*support, training).losses) == (2 if training else 5)


def test_classifier_is_adapted_by_the_steps_of_the_test(make_maml, episode):
    x, _ = episode
    learner = make_maml(inner_steps=1, test_inner_steps=4)
    classifier = learner.adapt(x["support_images"][0], x["support_labels"][0])
    np.testing.assert_allclose(classifier(x["query_images"][0]), learner(x)[0], rtol=1e-9)


@pytest.mark.parametrize("value", [0, 1.5, "3"])
def test_bad_number_of_test_steps(make_network, value):
    with pytest.raises(ValueError, match=f"MAML: test_inner_steps must be .*{value}"):
        MAML(make_network(), test_inner_steps=value)
