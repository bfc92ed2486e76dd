"""Tests of the training of one optimizer on many tasks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.errors import SettingError
from meta_keras.layers import Cell, CorrectedAdam
from meta_keras.optimizers import TaskSetTrainer, task_truncations, task_validation
from meta_keras.optimizers.estimators import evolved
from meta_keras.problems import Problem
from tests.conformance.cells import randomized


class Bowl(Problem):
    """1 + sum_k a_k (theta_k - sin(step + k + seed))^2, in the dtype of theta."""

    def __init__(self, size):
        self.size = size

    def initial_parameters(self, seed):
        return tf.range(self.size, dtype=tf.float64) - 1.5

    def loss(self, parameters, seed, step):
        places = tf.range(self.size, dtype=parameters.dtype)
        target = tf.sin(tf.cast(step + seed, parameters.dtype) + places)
        return 1.0 + tf.reduce_sum((1.0 + places) * tf.square(parameters - target)) / self.size


class Cliff(Bowl):
    """Not a number from the sixth step on."""

    def loss(self, parameters, seed, step):
        loss = super().loss(parameters, seed, step)
        return tf.where(step > 5, tf.constant(np.nan, loss.dtype), loss)


@keras.saving.register_keras_serializable(package="meta_keras_tests")
class Rate(Cell):
    """theta - exp(phi) grad, with the single weight phi."""

    def build(self, parameters_shape):
        self.phi = self.add_weight(name="phi", shape=(), initializer="zeros")

    def call(self, gradient, loss, parameters, state):
        return parameters - 0.1 * tf.exp(tf.convert_to_tensor(self.phi)) * gradient, state


def integer(value):
    return tf.constant(value, tf.int64)


def make_cell(dtype="float64"):
    cell = CorrectedAdam((4,), tensor_units=3, rate=0.1, dtype=dtype)
    cell.build_once()
    return randomized(cell, scale=0.3)


def test_loss_by_hand():
    """log of the loss over the first, with the weights of the steps of an optimization of 10."""
    cell, task = Rate(dtype="float64"), Bowl(3)
    trainer = TaskSetTrainer(cell, {"bowl": task}, unroll_steps=3)
    theta = start = task.initial_parameters(0)
    first = task.loss(theta, integer(7), integer(0))
    found, (end, _), worst = trainer.truncation_loss(
        task, (start, ()), first, integer(7), integer(4), integer(10)
    )
    places, theta, expected, ratios = np.arange(3.0), np.array(start), 0.0, []
    for step in (4, 5, 6):
        theta = theta - 0.1 * 2 * (1 + places) * (theta - np.sin(step + 7 + places)) / 3
        ratios.append(float(task.loss(tf.constant(theta), 7.0, step + 1.0) / first))
        expected += (0.2 + 3.2 * ((step + 1) / 10) ** 3) * np.log(ratios[-1] + 0.003) / 3
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(worst, max(ratios), rtol=1e-12)
    np.testing.assert_allclose(end, theta, rtol=1e-12)


def test_meta_gradient_against_finite_differences():
    cell, task = make_cell(), Bowl(4)
    trainer = TaskSetTrainer(cell, {"bowl": task}, unroll_steps=4)
    cell.prepare([tf.TensorSpec([2, 2])])
    theta = task.initial_parameters(0)
    state = cell.for_horizon(cell.initial_state(theta), integer(8))

    def loss():
        run = theta, state
        return trainer.truncation_loss(
            task, run, tf.constant(2.0, tf.float64), integer(0), integer(0), integer(8)
        )[0]

    with tf.GradientTape() as tape:
        value = loss()
    rng = np.random.default_rng(0)
    assert np.isfinite(value)
    for variable, gradient in zip(
        cell.trainable_variables, tape.gradient(value, cell.trainable_variables), strict=True
    ):
        here, direction = variable.numpy(), rng.normal(size=variable.shape)
        ends = []
        for sign in (1, -1):
            variable.assign(here + sign * 1e-6 * direction)
            ends.append(float(loss()))
        variable.assign(here)
        slope = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(np.sum(gradient * direction), slope, rtol=1e-5, atol=1e-8)


def test_evolution_strategies_are_unbiased_over_truncations():
    """Three truncations of two steps: the sum of their estimates is the slope of the whole.

    Forgetting the perturbations of earlier truncations, as plain evolution strategies do, is not.
    """
    cell, task, pairs = Rate(dtype="float64"), Bowl(2), 4
    trainer = TaskSetTrainer(cell, {"bowl": task}, unroll_steps=2)
    start, first = task.initial_parameters(0), tf.constant(1.0, tf.float64)

    def meta_loss(step):
        return lambda run: trainer.truncation_loss(
            task, run, first, integer(0), integer(step), integer(6)
        )

    def whole(phi):
        cell.phi.assign(phi)
        run, total = (start, ()), 0.0
        for step in (0, 2, 4):
            loss, run, _ = meta_loss(step)(run)
            total += float(loss)
        return total

    slope = (whole(1e-5) - whole(-1e-5)) / 2e-5
    cell.phi.assign(0.0)

    @tf.function
    def estimate(seed, keep):
        runs = [((start, ()), (start, ()))] * pairs
        offsets = [[tf.zeros((), tf.float64)] for _ in range(pairs)]
        total = tf.zeros((), tf.float64)
        for step in (0, 2, 4):
            noise = 0.01, tf.stack([seed, integer(step)])
            _, [gradient], runs, offsets, _ = evolved(meta_loss(step), cell, runs, offsets, noise)
            offsets = [[keep * xi for xi in of_pair] for of_pair in offsets]
            total += gradient
        return total

    found = {}
    for keep in (1.0, 0.0):
        values = [estimate(integer(seed), tf.constant(keep, tf.float64)) for seed in range(2500)]
        found[keep] = np.mean(values), np.std(values) / np.sqrt(len(values))
    assert float(cell.phi) == 0.0
    mean, error = found[1.0]
    assert abs(mean - slope) < 3 * error and error < 0.1 * abs(slope)
    mean, error = found[0.0]
    assert abs(mean - slope) > 5 * error


def make_trainer(gradient, cell=None, tasks=None):
    keras.utils.set_random_seed(3)
    tasks = tasks or {"small": Bowl(2), "large": Bowl(5)}
    cell = cell or make_cell("float32")
    trainer = TaskSetTrainer(cell, tasks, unroll_steps=2, gradient=gradient)
    trainer.compile(keras.optimizers.Adam(0.01))
    return trainer


def weights(trainer):
    return [v.numpy() for v in trainer.cell.trainable_variables]


def values(trainer):
    return [v.numpy() for v in (*trainer.variables, *trainer.optimizer.variables)]


@pytest.mark.parametrize("gradient", ["backpropagation", "pes"])
def test_saved_training_goes_on_bit_for_bit(gradient, tmp_path):
    work = task_truncations(2, 12, (4, 8), 2, seed=5)
    # The other estimate does not differentiate the cell: a small one does.
    cells = {"backpropagation": lambda: make_cell("float32"), "pes": Rate}
    whole = make_trainer(gradient, cells[gradient]())
    before = weights(whole)
    whole.fit(work, verbose=0)
    assert all((v != b).any() for v, b in zip(weights(whole), before, strict=True))
    part = make_trainer(gradient, cells[gradient]())
    part.fit(task_truncations(2, 7, (4, 8), 2, seed=5), verbose=0)
    part.save(tmp_path / "part.keras")
    loaded = keras.models.load_model(tmp_path / "part.keras")
    with pytest.raises(SettingError, match="tasks=None"):
        loaded.fit(work, verbose=0)
    loaded.tasks = {"small": Bowl(2), "large": Bowl(5)}
    loaded.fit(task_truncations(2, 5, (4, 8), 2, seed=5, start=7), verbose=0)
    for actual, expected in zip(values(loaded), values(whole), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_what_diverges_is_dropped_and_begins_anew():
    """Three truncations of two steps go well, then a step of the fourth does not."""
    trainer = make_trainer("backpropagation", Rate(), {"cliff": Cliff(2)})
    trainer.compile(keras.optimizers.SGD(0.01))
    seen = []
    for number in range(5):
        before = weights(trainer)
        trainer.fit(task_truncations(1, 1, (12, 12), 2, start=number), verbose=0)
        moved = any((v != b).any() for v, b in zip(weights(trainer), before, strict=True))
        seen.append((moved, float(trainer.dropped)))
    # The last one begins at step 8, beyond the cliff.
    assert seen == [(True, 0), (True, 0), (False, 1), (False, 2), (False, 3)]
    # Gradients may be accumulated, and rates go down: they count what is dropped, too.
    assert int(trainer.optimizer.iterations) == 5
    assert all(np.isfinite(value).all() for value in weights(trainer))


def test_validation_by_hand():
    trainer = make_trainer("backpropagation", cell=Rate(), tasks={"a": Bowl(2), "b": Bowl(3)})
    expected = []
    for task in trainer.tasks.values():
        places, theta = np.arange(task.size), np.arange(task.size) - 1.5
        losses = [float(task.loss(tf.constant(theta), 4.0, 0.0))]
        for step in range(20):
            target = np.sin(step + 4 + places)
            theta = theta - 0.1 * 2 * (1 + places) * (theta - target) / task.size
            losses.append(float(task.loss(tf.constant(theta), 4.0, step + 1.0)))
        expected.append(np.log(np.mean(losses[-2:]) / losses[0] + 0.003))
    logs = trainer.evaluate(task_validation(2, [4], [20]), verbose=0, return_dict=True)
    expected = {"loss": np.mean(expected), "task_0": expected[0], "task_1": expected[1]}
    assert list(logs) == list(expected)
    np.testing.assert_allclose(list(logs.values()), list(expected.values()), rtol=1e-5)
