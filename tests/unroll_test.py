"""Tests of the inner loop on quadratics, whose runs and derivatives are known in closed form."""

import numpy as np
import pytest
import tensorflow as tf

from meta_keras.layers import Cell, GradientDescentCell
from meta_keras.unroll import unroll
from tests.quadratic import RATE, SIZE, Quadratic

STEPS = 5


class Momentum(Cell):
    """A cell with a state: velocity v_t = 0.5 v_{t-1} + grad_t and a count of steps."""

    def initial_state(self, parameters):
        return tf.zeros_like(parameters), tf.zeros([], tf.float64)

    def call(self, gradient, loss, parameters, state):
        velocity, count = state
        velocity = 0.5 * velocity + gradient
        return parameters - RATE * velocity, (velocity, count + 1)


@pytest.fixture
def quadratic():
    return Quadratic()


@pytest.fixture
def descent():
    return GradientDescentCell(RATE, dtype="float64")


@pytest.mark.parametrize("second_order", [False, True])
@pytest.mark.parametrize("graph", [False, True])
def test_descends_as_the_closed_form(quadratic, descent, second_order, graph):
    def run(start):
        return unroll(descent, quadratic.loss_fn, start, STEPS, second_order=second_order)

    run = tf.function(run) if graph else run
    unrolled = run(tf.constant(quadratic.start))
    np.testing.assert_allclose(unrolled.parameters, quadratic.after(STEPS), rtol=1e-12)
    expected = [quadratic.value(quadratic.after(t)) for t in range(STEPS)]
    np.testing.assert_allclose(unrolled.losses, expected, rtol=1e-12)


def _outer_gradient(quadratic, descent, second_order, outer):
    start = tf.constant(quadratic.start)
    with tf.GradientTape() as tape:
        tape.watch(start)
        run = unroll(descent, quadratic.loss_fn, start, STEPS, second_order=second_order)
        value = outer(run)
    return tape.gradient(value, start)


def test_first_order_holds_the_gradients_constant(quadratic, descent):
    """With constant gradients theta_T = theta_0 - const, so the outer derivative is f'(theta_T)."""
    gradient = _outer_gradient(quadratic, descent, False, lambda run: quadratic(run.parameters))
    last = quadratic.after(STEPS)
    np.testing.assert_allclose(gradient, quadratic.a @ (last - quadratic.minimum), rtol=1e-12)


def test_second_order_is_the_true_derivative(quadratic, descent):
    gradient = _outer_gradient(quadratic, descent, True, lambda run: quadratic(run.parameters))
    last = quadratic.after(STEPS)
    expected = quadratic.contraction(STEPS) @ quadratic.a @ (last - quadratic.minimum)
    np.testing.assert_allclose(gradient, expected, rtol=1e-12)


def test_first_order_losses_are_differentiable_in_the_parameters(quadratic, descent):
    """With constant gradients d theta_t / d theta_0 = 1, so loss t contributes f'(theta_t)."""
    gradient = _outer_gradient(quadratic, descent, False, lambda run: tf.add_n(run.losses))
    expected = sum(quadratic.a @ (quadratic.after(t) - quadratic.minimum) for t in range(STEPS))
    np.testing.assert_allclose(gradient, expected, rtol=1e-12)


def test_second_order_losses_are_differentiable(quadratic, descent):
    gradient = _outer_gradient(quadratic, descent, True, lambda run: tf.add_n(run.losses))
    expected = sum(
        quadratic.contraction(t) @ quadratic.a @ (quadratic.after(t) - quadratic.minimum)
        for t in range(STEPS)
    )
    np.testing.assert_allclose(gradient, expected, rtol=1e-12)


def test_derivative_of_the_learning_rate(quadratic):
    """The outer derivative reaches the cell's weights: here d f(theta_1) / d rate."""

    class LearnedRate(Cell):
        def build(self, shape):
            self.rate = self.add_weight(shape=(), initializer="ones")

        def call(self, gradient, loss, parameters, state):
            return parameters - self.rate * gradient, state

    cell = LearnedRate(dtype="float64")
    cell.build((SIZE,))
    with tf.GradientTape() as tape:
        run = unroll(cell, quadratic.loss_fn, tf.constant(quadratic.start), steps=1)
        value = quadratic(run.parameters)
    inner = quadratic.a @ (quadratic.start - quadratic.minimum)
    outer = quadratic.a @ (quadratic.after(1, rate=1.0) - quadratic.minimum)
    np.testing.assert_allclose(tape.gradient(value, cell.rate.value), -outer @ inner, rtol=1e-12)


def test_carry_and_step_go_through(quadratic, descent):
    seen = []

    def loss_fn(parameters, step, carry):
        seen.append((step, carry))
        return quadratic(parameters), carry + 10 * (step + 1)

    run = unroll(descent, loss_fn, tf.constant(quadratic.start), 3, carry=5)
    assert seen == [(0, 5), (1, 15), (2, 35)]
    assert run.carry == 65


def test_state_goes_through(quadratic):
    theta, velocity, velocities = quadratic.start, np.zeros(SIZE), []
    for _ in range(STEPS):
        velocity = 0.5 * velocity + quadratic.a @ (theta - quadratic.minimum)
        theta = theta - RATE * velocity
        velocities.append(velocity)
    cell = Momentum(dtype="float64")
    run = unroll(cell, quadratic.loss_fn, tf.constant(quadratic.start), STEPS)
    np.testing.assert_allclose(run.parameters, theta, rtol=1e-12)
    np.testing.assert_allclose([v for v, _ in run.states], velocities, rtol=1e-12)
    np.testing.assert_allclose([count for _, count in run.states], range(1, STEPS + 1))
    np.testing.assert_array_equal(run.state[0], run.states[-1][0])


def test_a_run_can_be_continued(quadratic):
    cell, start = Momentum(dtype="float64"), tf.constant(quadratic.start)
    whole = unroll(cell, quadratic.loss_fn, start, STEPS)
    half = unroll(cell, quadratic.loss_fn, start, 2)
    rest = unroll(cell, quadratic.loss_fn, half.parameters, STEPS - 2, state=half.state)
    np.testing.assert_array_equal(rest.parameters, whole.parameters)
    np.testing.assert_array_equal(half.losses + rest.losses, whole.losses)


def test_no_steps_change_nothing(quadratic, descent):
    run = unroll(descent, quadratic.loss_fn, tf.constant(quadratic.start), 0, carry="as it was")
    np.testing.assert_array_equal(run.parameters, quadratic.start)
    assert (run.losses, run.states, run.carry) == ([], [], "as it was")
