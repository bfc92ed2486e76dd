"""Every cell where gradients are zero, tiny or huge, in both orders.

A network meets exact zeros all the time: behind a ReLU, for a pixel that is never on.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.cells import ROWS, SIZE, ready

# Gradients of a coordinate in three steps, and what is a small change of one of them.
COLUMNS = [
    ((0.0, 0.0, 0.0), 1e-13),
    ((0.0, 1e-20, 0.0), 1e-13),
    ((1e-30, -1e-25, 1e-42), 1e-13),  # The squares of all of them are zero in float32.
    ((1e-12, -2e-12, 1e-12), 1e-13),
    ((-3e-3, 0.0, 1.0), 1e-7),
    ((0.5, -2.0, 1.0), 1e-6),
    ((2e12, 1e12, -1e12), 1e7),
]
GRADIENTS, CHANGES = (np.array(part) for part in zip(*COLUMNS, strict=True))
GRADIENTS = GRADIENTS.T
LOSSES = np.array([0.0, 1e-30, 2.0])
NOT_HUGE = slice(0, SIZE - 1)


# Of the others one coordinate's derivatives are not a matter of its own gradients.
COORDINATEWISE = [row for row in ROWS if row.coordinatewise]


@pytest.fixture(params=COORDINATEWISE, ids=[kind.name for kind in COORDINATEWISE])
def make(request):
    """Function from a dtype to the row's cell, with the same weights every time."""
    return lambda dtype: ready(request.param.make(dtype=dtype))


def _run(cell, gradients, start, losses):
    """Parameters and states after every step."""
    theta, state, path = start, cell.initial_state(start), []
    for gradient, loss in zip(tf.unstack(gradients), tf.unstack(losses), strict=True):
        theta, state = cell(gradient, loss, theta, state)
        path.append((theta, state))
    return path


def _derivatives(cell):
    """Parameters after the last step, `[P]`, and lists of their derivatives `[P, ...]`.

    Those by gradients, first parameters, losses and the cell's weights; and those by its states.
    """
    dtype = cell.compute_dtype
    inputs = [tf.constant(x, dtype) for x in (GRADIENTS, np.zeros(SIZE), LOSSES)]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(inputs)
        path = _run(cell, *inputs)
        theta = path[-1][0]
    sources = [*inputs, *(v.value for v in cell.trainable_variables)]
    states = [leaf for _, state in path[:-1] for leaf in tf.nest.flatten(state)]
    found = tape.jacobian(
        theta, [*sources, *states], unconnected_gradients="zero", experimental_use_pfor=False
    )
    found = [np.asarray(x, "float64") for x in found]
    return np.asarray(theta, "float64"), found[: len(sources)], found[len(sources) :]


def _slope(run, change):
    """Central difference of `run(sign * change)`, over the change of every coordinate."""
    return (np.asarray(run(change)) - np.asarray(run(-change))) / (2 * change)


def test_derivatives_against_finite_differences(make):
    cell = make("float64")
    theta, (by_gradients, by_parameters, by_losses, *by_weights), states = _derivatives(cell)
    rounding = 1e-9 + 4e-15 * np.abs(theta) / CHANGES
    assert all(np.isfinite(x).all() for x in states)

    def run(gradients=GRADIENTS, start=0.0, losses=LOSSES):
        return _run(cell, *map(tf.constant, (gradients, start + np.zeros(SIZE), losses)))[-1][0]

    for step, row in enumerate(np.eye(3)):
        numeric = _slope(lambda d, row=row: run(GRADIENTS + np.outer(row, d)), CHANGES)
        actual = np.diagonal(by_gradients[:, step])
        assert (np.abs(actual - numeric) <= 1e-3 * np.abs(numeric) + rounding).all()
        numeric = _slope(lambda d, row=row: run(losses=LOSSES + row * d), 1e-6)
        _assert_close(by_losses[:, step], numeric)
    _assert_close(np.diagonal(by_parameters), _slope(lambda d: run(start=d), 1e-6))
    rng = np.random.default_rng(3)
    for variable, found in zip(cell.trainable_variables, by_weights, strict=True):
        here, direction = variable.numpy(), rng.normal(size=variable.shape)

        def moved(change, variable=variable, here=here, direction=direction):
            variable.assign(here + change * direction)
            return run()

        numeric = _slope(moved, 1e-6)
        variable.assign(here)
        actual = np.sum(found * direction, axis=tuple(range(1, here.ndim + 1)))
        _assert_close(actual, numeric)


def _assert_close(actual, numeric):
    np.testing.assert_allclose(actual[NOT_HUGE], numeric[NOT_HUGE], rtol=1e-4, atol=1e-9)
    assert np.isfinite(actual).all()


def test_float32_is_as_float64(make):
    theta, derivatives, states = _derivatives(make("float32"))
    expected, of_float64, _ = _derivatives(make("float64"))
    assert all(np.isfinite(x).all() for x in states)
    np.testing.assert_allclose(theta, expected, rtol=2e-3, atol=1e-6)
    largest = 1.0 + np.abs(expected)
    for number, (actual, exact) in enumerate(zip(derivatives, of_float64, strict=True)):
        # Of a small relative change of the gradient, where it is ordinary or huge.
        by = np.maximum(1.0, np.abs(GRADIENTS).max(axis=0)) if number == 0 else np.ones(SIZE)
        rounding = (1e-4 * largest / by).reshape([SIZE] + [1] * (actual.ndim - 1))
        assert (np.abs(actual - exact) <= 2e-3 * np.abs(exact) + rounding).all()


def test_where_squares_overflow_it_stays_finite(make):
    cell = make("float32")
    gradients = tf.constant(np.outer([1e30, 0.0, 1.0], np.ones(SIZE)), "float32")
    with tf.GradientTape() as tape:
        tape.watch(gradients)
        theta = [theta for theta, _ in _run(cell, gradients, tf.zeros(SIZE), tf.zeros(3))]
    assert np.isfinite(theta).all() and np.isfinite(tape.gradient(theta, gradients)).all()
