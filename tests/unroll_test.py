"""Tests of the inner loop on quadratics, whose runs and derivatives are known in closed form."""

import numpy as np
import pytest
import tensorflow as tf

from meta_keras.layers import Cell, GradientDescentCell
from meta_keras.unroll import unroll

SIZE, STEPS, RATE = 4, 5, 0.1


class Quadratic:
    """f(theta) = 1/2 (theta - m)' A (theta - m), of which gradient descent is linear algebra."""

    def __init__(self):
        rng = np.random.default_rng(0)
        root = rng.normal(size=(SIZE, SIZE))
        self.a = root @ root.T / SIZE + np.eye(SIZE)
        self.minimum = rng.normal(size=SIZE)
        self.start = rng.normal(size=SIZE)

    def loss_fn(self, parameters, step, carry):
        return self(parameters), carry

    def __call__(self, theta):
        d = tf.convert_to_tensor(theta) - self.minimum
        return 0.5 * tf.tensordot(d, tf.linalg.matvec(self.a, d), 1)

    def value(self, theta):
        return 0.5 * (theta - self.minimum) @ self.a @ (theta - self.minimum)

    def after(self, steps, rate=RATE):
        """theta_t of gradient descent: m + (I - rate A)^t (theta_0 - m)."""
        return self.minimum + self.contraction(steps, rate) @ (self.start - self.minimum)

    def contraction(self, steps, rate=RATE):
        return np.linalg.matrix_power(np.eye(SIZE) - rate * self.a, steps)


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


def test_gradient_scale(quadratic, descent):
    start = tf.constant(quadratic.start)
    run = unroll(descent, quadratic.loss_fn, start, STEPS, gradient_scale=0.25)
    np.testing.assert_allclose(run.parameters, quadratic.after(STEPS, rate=RATE / 4), rtol=1e-12)
    # The loss is what it is; only the gradient is scaled.
    np.testing.assert_allclose(run.losses[0], quadratic.value(quadratic.start), rtol=1e-12)


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


class LearnedMomentum(Cell):
    """A cell with a weight, a state, and an update that is not linear in the gradient."""

    def build(self, shape):
        self.rate = self.add_weight(shape=(), initializer=lambda *_, **__: 0.07)
        self.built = True

    def initial_state(self, parameters):
        return (tf.zeros_like(parameters),)

    def call(self, gradient, loss, parameters, state):
        velocity = 0.5 * state[0] + tf.tanh(gradient)
        return parameters - self.rate * velocity * (1.0 + 0.01 * loss), (velocity,)


@pytest.mark.parametrize("second_order", [False, True])
@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("steps", [1, 5, 9])
def test_recomputing_changes_no_derivative(quadratic, second_order, graph, steps):
    cell = LearnedMomentum(dtype="float64")
    cell.build((SIZE,))

    def derivatives(recompute):
        start = tf.constant(quadratic.start)
        with tf.GradientTape() as tape:
            tape.watch(start)
            run = unroll(
                cell,
                lambda theta, step, carry: (quadratic(theta) * (1 + step), carry + 1.0),
                start,
                steps,
                carry=tf.constant(0.0, tf.float64),
                second_order=second_order,
                recompute=recompute,
            )
            value = tf.add_n(run.losses) + quadratic(run.parameters) + tf.reduce_sum(run.state[0])
        return run.parameters, run.carry, tape.gradient(value, [start, cell.rate.value])

    derivatives = tf.function(derivatives) if graph else derivatives
    plain, recomputed = derivatives(False), derivatives(True)
    np.testing.assert_allclose(recomputed[0], plain[0], rtol=1e-12)
    assert float(recomputed[1]) == float(plain[1]) == steps
    for actual, expected in zip(recomputed[2], plain[2], strict=True):
        assert np.abs(expected).max() > 1e-3
        np.testing.assert_allclose(actual, expected, rtol=1e-10)


def test_recomputing_stores_the_ends_of_segments_only(quadratic):
    """Counts the forward run's tensors that the graph of the derivative reads."""
    cell, steps = LearnedMomentum(dtype="float64"), 25
    cell.build((SIZE,))

    def stored(recompute):
        @tf.function
        def derivative(start):
            with tf.GradientTape() as tape:
                loss_fn = quadratic.loss_fn
                run = unroll(cell, loss_fn, start, steps, recompute=recompute)
                value = quadratic(run.parameters)
            forward.update(op.name for op in value.graph.get_operations())
            return tape.gradient(value, cell.rate.value)

        forward = set()
        graph = derivative.get_concrete_function(tf.constant(quadratic.start)).graph
        return {
            tensor.name
            for op in graph.get_operations()
            if op.name not in forward
            for tensor in op.inputs
            if tensor.op.name in forward and tensor.shape == [SIZE]
        }

    # Plainly, something of every step; otherwise what goes into and out of five segments.
    assert len(stored(False)) >= steps
    assert len(stored(True)) <= 2 * 5


def test_recomputing_keeps_the_states_at_the_ends_of_segments(quadratic):
    cell, start = Momentum(dtype="float64"), tf.constant(quadratic.start)
    plain = unroll(cell, quadratic.loss_fn, start, 7)
    recomputed = unroll(cell, quadratic.loss_fn, start, 7, recompute=True)
    assert [float(count) for _, count in recomputed.states] == [2, 4, 6, 7]
    np.testing.assert_allclose(recomputed.state[0], plain.state[0], rtol=1e-12)
    np.testing.assert_allclose(recomputed.losses, plain.losses, rtol=1e-12)
