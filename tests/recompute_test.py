"""Tests of gradient checkpointing: the same derivatives for less memory."""

import numpy as np
import pytest
import tensorflow as tf

from meta_keras.layers import Cell
from meta_keras.recompute import unroll_recomputed
from meta_keras.unroll import unroll
from tests.quadratic import SIZE, Quadratic


@pytest.fixture
def quadratic():
    return Quadratic()


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
@pytest.mark.parametrize(
    ("steps", "graph"), [(1, False), (5, False), (9, False), (1, True), (5, True)]
)
def test_recomputing_changes_no_derivative(quadratic, second_order, graph, steps):
    cell = LearnedMomentum(dtype="float64")
    cell.build((SIZE,))

    def derivatives(run_cell):
        start = tf.constant(quadratic.start)
        with tf.GradientTape() as tape:
            tape.watch(start)
            run = run_cell(
                cell,
                lambda theta, step, carry: (quadratic(theta) * (1 + step), carry + 1.0),
                start,
                steps,
                carry=tf.constant(0.0, tf.float64),
                second_order=second_order,
            )
            value = tf.add_n(run.losses) + quadratic(run.parameters) + tf.reduce_sum(run.state[0])
        return run.parameters, run.carry, tape.gradient(value, [start, cell.rate.value])

    derivatives = tf.function(derivatives) if graph else derivatives
    plain, recomputed = derivatives(unroll), derivatives(unroll_recomputed)
    np.testing.assert_allclose(recomputed[0], plain[0], rtol=1e-12)
    assert float(recomputed[1]) == float(plain[1]) == steps
    for actual, expected in zip(recomputed[2], plain[2], strict=True):
        assert np.abs(expected).max() > 1e-3
        np.testing.assert_allclose(actual, expected, rtol=1e-10)


def test_recomputing_stores_the_ends_of_segments_only(quadratic):
    """Counts the forward run's tensors that the graph of the derivative reads."""
    cell, steps = LearnedMomentum(dtype="float64"), 25
    cell.build((SIZE,))

    def stored(run_cell):
        @tf.function
        def derivative(start):
            with tf.GradientTape() as tape:
                run = run_cell(cell, quadratic.loss_fn, start, steps)
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
    assert len(stored(unroll)) >= steps
    assert len(stored(unroll_recomputed)) <= 2 * 5


def test_it_keeps_the_states_at_the_ends_of_segments(quadratic):
    """And the loss function sees the steps of the whole run, the gradient its factor."""

    class Count(Cell):
        def initial_state(self, parameters):
            return tf.zeros([], tf.float64)

        def call(self, gradient, loss, parameters, state):
            return parameters - 0.1 * gradient, state + 1

    def loss_fn(theta, step, carry):
        return quadratic(theta) * (1.0 + step), carry

    cell, start = Count(dtype="float64"), tf.constant(quadratic.start)
    plain = unroll(cell, loss_fn, start, 7)
    recomputed = unroll_recomputed(cell, loss_fn, start, 7)
    assert [float(count) for count in recomputed.states] == [2, 4, 6, 7]
    assert float(recomputed.state) == 7
    np.testing.assert_array_equal(recomputed.losses, plain.losses)
    np.testing.assert_array_equal(recomputed.parameters, plain.parameters)


def test_no_steps_change_nothing(quadratic):
    cell, start = LearnedMomentum(dtype="float64"), tf.constant(quadratic.start)
    run = unroll_recomputed(cell, quadratic.loss_fn, start, 0, carry="as it was")
    np.testing.assert_array_equal(run.parameters, quadratic.start)
    assert (run.losses, run.states, run.carry) == ([], [], "as it was")
