"""Tests of cells for groups of variables."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.layers import (
    CoordinatewiseLSTM,
    CorrectedAdam,
    GradientDescentCell,
    GroupedCell,
    NesterovCell,
    is_convolution_kernel,
)
from meta_keras.optimizers import LearnedOptimizer, OptimizerTrainer, loss_curves, truncations
from meta_keras.problems import ModelProblem
from tests.conformance.cells import randomized


def _model():
    keras.utils.set_random_seed(1)
    convolution = keras.layers.Conv2D(2, 3, activation="tanh")
    layers = [convolution, keras.layers.Flatten(), keras.layers.Dense(2)]
    return keras.Sequential([keras.Input((4, 4, 1)), *layers])


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(12, 4, 4, 1)).astype("float32"), rng.integers(0, 2, 12)


@pytest.fixture
def problem(data):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return ModelProblem(_model(), loss, tf.data.Dataset.from_tensor_slices(data), 6)


def test_every_group_has_its_own_cell():
    """Three variables, the middle one a convolution's kernel, against the update by hand."""
    variables = [
        keras.Variable(np.ones((2,))),
        keras.Variable(np.ones((1, 1, 1, 3))),
        keras.Variable(np.ones((2, 1))),
    ]
    cell = GroupedCell([NesterovCell(0.1), GradientDescentCell(0.5)], [is_convolution_kernel])
    cell.prepare(variables)
    theta = np.arange(7.0)
    velocity = np.zeros(3)
    parameters = tf.constant(theta)
    state = cell.initial_state(parameters)
    rng = np.random.default_rng(0)
    for _ in range(3):
        gradient = rng.normal(size=7)
        parameters, state = cell(tf.constant(gradient), tf.zeros(()), parameters, state)
        velocity = 0.9 * velocity - 0.1 * gradient[2:5]
        theta[2:5] += 0.9 * velocity - 0.1 * gradient[2:5]
        theta[[0, 1, 5, 6]] -= 0.5 * gradient[[0, 1, 5, 6]]
        np.testing.assert_allclose(parameters, theta, rtol=1e-6)


def test_cells_hear_of_their_own_variables_and_of_the_horizon():
    """Every one as if it were alone, with the length of the run from the beginning."""
    shapes, theta = [(2, 2), (1, 1, 3), (2,)], tf.range(9.0)
    parts = [slice(4, 7), [0, 1, 2, 3, 7, 8]]
    cells, alone = (
        [randomized(_built(CorrectedAdam(rate=0.1, **kw)), 0.3, n) for n, kw in enumerate(kwargs)]
        for kwargs in (
            [{}, {}],
            [{"steps": 6, "shapes": own} for own in (shapes[1:2], shapes[::2])],
        )
    )
    cell = GroupedCell(cells, [is_convolution_kernel])
    cell.prepare([tf.TensorSpec(shape) for shape in shapes])
    state = cell.for_horizon(cell.initial_state(theta), tf.constant(6, tf.int64))
    gradient = np.sin(np.arange(9.0, dtype="float32"))
    found, _ = cell(tf.constant(gradient), tf.zeros(()), theta, state)
    for part, single in zip(parts, alone, strict=True):
        own = tf.constant(theta.numpy()[part])
        start = single.initial_state(own)
        expected, _ = single(tf.constant(gradient[part]), tf.zeros(()), own, start)
        np.testing.assert_allclose(found.numpy()[part], expected, rtol=1e-6)


def _built(cell):
    cell.build_once()
    return cell


def test_first_predicate_that_holds_decides():
    cells = [GradientDescentCell(rate) for rate in (1.0, 2.0, 3.0)]
    cell = GroupedCell(cells, [lambda v: v.shape[0] == 1, lambda v: v.shape[0] < 3])
    cell.prepare([keras.Variable(np.ones(n)) for n in (1, 2, 3)])
    after, _ = cell(tf.ones(6), tf.zeros(()), tf.zeros(6), cell.initial_state(tf.zeros(6)))
    np.testing.assert_allclose(after, [-1, -2, -2, -3, -3, -3])


def test_a_group_may_be_empty():
    cell = GroupedCell([NesterovCell(1.0), GradientDescentCell(0.1)], [is_convolution_kernel])
    cell.prepare([keras.Variable(np.ones(4))])
    after, _ = cell(tf.ones(4), tf.zeros(()), tf.zeros(4), cell.initial_state(tf.zeros(4)))
    np.testing.assert_allclose(after, np.full(4, -0.1), rtol=1e-6)


def test_in_keras_it_is_one_rate_for_convolutions_and_one_for_the_rest(data, tmp_path):
    cells = [GradientDescentCell(0.0001), GradientDescentCell(0.1)]
    optimizer = LearnedOptimizer(GroupedCell(cells, [is_convolution_kernel]))
    model, before = _model(), [v.numpy() for v in _model().trainable_variables]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss)
    with tf.GradientTape() as tape:
        value = loss(data[1], model(data[0]))
    gradients = tape.gradient(value, [v.value for v in model.trainable_variables])
    model.fit(*data, batch_size=12, verbose=0)
    for variable, start, gradient, rate in zip(
        model.trainable_variables, before, gradients, (0.0001, 0.1, 0.1, 0.1), strict=True
    ):
        np.testing.assert_allclose(variable, start - rate * gradient, rtol=1e-4, atol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for m in (model, loaded):
        m.fit(*data, batch_size=12, shuffle=False, verbose=0)
    for actual, expected in zip(loaded.variables, model.variables, strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_it_may_serve_several_at_once(problem):
    """Each has its own groups: two optimizers, and losses and a trainer on another problem."""
    predicates = [is_convolution_kernel]
    cell = GroupedCell([GradientDescentCell(0.1), GradientDescentCell(0.5)], predicates)
    shapes = (1, 1, 2), (2,)
    optimizers = [LearnedOptimizer(cell) for _ in shapes]
    variables = [[keras.Variable(np.ones(s)) for s in order] for order in (shapes, shapes[::-1])]
    for _ in range(2):
        for optimizer, own in zip(optimizers, variables, strict=True):
            optimizer.apply([np.ones(v.shape, "float32") for v in own], own)
        loss_curves(cell, problem, [5], 1)
    for own in variables:
        for variable in own:
            expected = 0.8 if is_convolution_kernel(variable) else 0.0
            np.testing.assert_allclose(variable, np.full(variable.shape, expected), atol=1e-6)


def test_a_trainer_keeps_its_groups(problem):
    cells = [CoordinatewiseLSTM((2,)), CoordinatewiseLSTM((2,), "none")]
    cell = GroupedCell(cells, [is_convolution_kernel])
    trainer = OptimizerTrainer(cell, problem, unroll_steps=1)
    trainer.compile("sgd", run_eagerly=True)
    expected = cell.assignment
    LearnedOptimizer(cell).build([keras.Variable(np.ones(3))])
    assert cell.assignment != expected
    trainer.fit(truncations(1, 1, 1), verbose=0)
    assert cell.assignment == expected


def test_training_reaches_the_weights_of_every_group(problem, tmp_path):
    cells = [CoordinatewiseLSTM((3,)), CoordinatewiseLSTM((4,))]
    trainer = OptimizerTrainer(GroupedCell(cells, [is_convolution_kernel]), problem, unroll_steps=3)
    trainer.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    before = [v.numpy() for v in trainer.trainable_variables]
    assert len(before) == 8
    trainer.fit(truncations(4, 6, 3), verbose=0)
    for variable, start in zip(trainer.trainable_variables, before, strict=True):
        assert np.abs(variable - start).max() > 1e-4, variable.path
    trainer.save(tmp_path / "trainer.keras")
    loaded = keras.models.load_model(tmp_path / "trainer.keras")
    np.testing.assert_array_equal(
        loss_curves(loaded.cell, problem, [5], 4), loss_curves(trainer.cell, problem, [5], 4)
    )
    names = set(trainer.cell.observables(trainer.cell.initial_state(tf.zeros(problem.size))))
    assert {"update_of_group_0", "cell_state_of_group_1"} <= names


def test_bad_arguments():
    cell = GradientDescentCell(0.1)
    with pytest.raises(ValueError, match="2 cells need 1 predicates"):
        GroupedCell([cell, cell], [])
    with pytest.raises(ValueError, match="at least two cells"):
        GroupedCell([cell], [])
    grouped = GroupedCell([cell, cell], [is_convolution_kernel])
    with pytest.raises(ValueError, match="call prepare"):
        grouped.initial_state(tf.zeros(3))
    grouped.prepare([keras.Variable(np.ones(4))])
    with pytest.raises(ValueError, match="prepared for 4 coordinates, not 3"):
        grouped.initial_state(tf.zeros(3))
