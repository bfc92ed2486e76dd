"""Whatever a `TaskSetTrainer`, its `compile` or its `fit` is given acts, or is refused in words."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras import layers
from meta_keras.errors import SettingError
from meta_keras.optimizers import TaskSetTrainer, loss_curves, task_truncations, task_validation
from meta_keras.problems import ModelProblem
from meta_keras.problems.networks import recurrent_model, residual_model
from tests.optimizers.task_trainer_test import Bowl, Rate

ROWS, WHOLE = task_truncations(1, 2, (4, 4), 2), task_truncations(1, 1, (2, 2), None)
VALIDATION = task_validation(1, [5], [4])


def make_trainer(cell=None, task=None, unroll_steps=2, **kwargs):
    """A trainer, not compiled."""
    tasks = {"a": task or Bowl(2)}
    return TaskSetTrainer(cell or Rate(), tasks, unroll_steps, gradient="pes", **kwargs)


@pytest.mark.parametrize(("own", "other"), [(2, 4), (2, None), (None, 4)])
def test_truncations_of_another_length(own, other):
    """They would step over parts of an optimization, or do some of them twice."""
    trainer = make_trainer(unroll_steps=own)
    trainer.compile("sgd")
    with pytest.raises(SettingError, match=f"TaskSetTrainer: unroll_steps={own}, .*={other}[.]"):
        trainer.fit(task_truncations(1, 2, (4, 8), other), verbose=0)
    assert int(trainer.optimizer.iterations) == 0 and float(trainer.cell.phi) == 0.0


@pytest.mark.parametrize(
    "given",
    [
        {"loss": "mse"},
        {"metrics": ["mae"]},
        {"weighted_metrics": ["mae"]},
        {"loss_weights": [1.0]},
        {"steps_per_execution": 3},
    ],
)
def test_what_compile_refuses(given):
    with pytest.raises(SettingError, match=f"^TaskSetTrainer: {next(iter(given))}"):
        make_trainer().compile("sgd", **given)


def test_several_replicas_are_refused(monkeypatch):
    strategy = types.SimpleNamespace(num_replicas_in_sync=2)
    monkeypatch.setattr(TaskSetTrainer, "distribute_strategy", strategy, raising=False)
    with pytest.raises(SettingError, match="^TaskSetTrainer: one replica only.* has 2"):
        make_trainer().compile("sgd")


class Recorded(Bowl):
    """Its start, with texts, which XLA does not have, says how it is computed."""

    def initial_parameters(self, seed):
        self.in_graph = tf.inside_function()
        text = tf.strings.as_string(tf.constant(4) + tf.cast(0 * seed, tf.int32))
        return super().initial_parameters(seed) * tf.strings.to_number(text, tf.float64)


def test_compilation_is_what_compile_is_told():
    for eagerly in (True, False):
        trainer = make_trainer(task=Recorded(2), unroll_steps=None, pairs=1)
        trainer.compile("sgd", run_eagerly=eagerly)
        trainer.fit(WHOLE, verbose=0)
        assert trainer.tasks["a"].in_graph != eagerly
    trainer.compile("sgd", jit_compile=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="unsupported operations"):
        trainer.fit(WHOLE, verbose=0)


def test_scaling_the_loss_changes_nothing():
    """Keras divides the gradients by the scale: they must have been multiplied."""
    found = []
    for scale in (None, 1024.0):
        trainer = make_trainer(unroll_steps=None, pairs=1)
        trainer.compile(keras.optimizers.SGD(0.1, loss_scale_factor=scale), run_eagerly=True)
        trainer.fit(WHOLE, verbose=0)
        found.append(float(trainer.cell.phi))
    assert found[0] != 0.0 and found[1] == pytest.approx(found[0], rel=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TaskSetTrainer(Rate()), "tasks are needed"),
        (lambda: TaskSetTrainer("adam", {"a": Bowl(2)}), "cell='adam' must be a .*Cell"),
        (lambda: make_trainer(layers.GatedLSTMCell()), "cell=<GatedLSTMCell.*whole state"),
        (lambda: TaskSetTrainer(Rate(), [Bowl(2)]), "tasks must be a dict from names to"),
        (lambda: TaskSetTrainer(Rate(), {"a": 3}), "tasks must be a dict.*got {'a': 3}"),
        (lambda: TaskSetTrainer(Rate(), {1: Bowl(2)}), "tasks must be a dict"),
        (lambda: make_trainer(validation_tasks=[1]), r"validation_tasks must be a dict.*\[1\]"),
        (lambda: make_trainer(validation_tasks={}), "validation_tasks must be a dict"),
        (lambda: TaskSetTrainer(Rate(), {"a": Bowl(2)}, gradient="es"), "gradient must be one of"),
        (lambda: TaskSetTrainer(Rate(), {"a": Bowl(2)}, None), ".* needs gradient='pes'"),
        (lambda: make_trainer(limit=0), "limit must be positive"),
    ],
)
def test_what_it_is_not_made_of(make, message):
    with pytest.raises(SettingError, match=f"^TaskSetTrainer: {message}"):
        make()


def test_tasks_set_later():
    trainer = make_trainer()
    with pytest.raises(SettingError, match="tasks=a are not the tasks it was made for"):
        trainer.tasks = {"a": Bowl(3)}
    with pytest.raises(SettingError, match="tasks must be a dict"):
        trainer.tasks = [Bowl(2)]


@pytest.mark.parametrize(
    ("method", "data", "message"),
    [
        ("fit", None, "`x` is missing, it must be what task_truncations"),
        ("fit", ROWS.batch(2), "`x` must be what task_truncations gives.*not batched"),
        ("fit", VALIDATION, "`x` must be what task_truncations gives"),
        ("fit", ROWS.map(lambda row: (row, 1.0)), "`x` must be what task_truncations gives"),
        (
            "fit",
            task_truncations(2, 2, (4, 4), 2, start=1),
            "`x` was made for more tasks than there are tasks, 1",
        ),
        ("evaluate", None, "`x` is missing, it must be what task_validation"),
        ("evaluate", ROWS, "`x` must be what task_validation gives"),
        (
            "evaluate",
            VALIDATION.map(lambda row: {**row, "task": row["task"] + 1}),
            "`x` was made for more",
        ),
    ],
)
def test_data_of_another_kind(method, data, message):
    trainer = make_trainer()
    trainer.compile("sgd")
    with pytest.raises(SettingError, match=f"^TaskSetTrainer: {message}"):
        getattr(trainer, method)(data, verbose=0)


def test_targets_and_frozen_cells():
    trainer = make_trainer()
    trainer.compile("sgd")
    with pytest.raises(SettingError, match="TaskSetTrainer: sample_weight="):
        trainer.fit(ROWS, sample_weight=np.ones(2), verbose=0)
    fixed = make_trainer(layers.GradientDescentCell())
    fixed.compile("sgd")
    with pytest.raises(SettingError, match="TaskSetTrainer: cell=.* has no trainable weights"):
        fixed.fit(ROWS, verbose=0)


def network_problem(name):
    rng = np.random.default_rng(0)
    if name == "layer normalisation":
        model, x = residual_model((3,), 4, 1, 2, "relu"), rng.normal(size=(8, 3)).astype("float32")
    else:
        model = recurrent_model((3,), keras.layers.SimpleRNN(2, unroll=True), 2, symbols=5)
        x = rng.integers(0, 5, (8, 3)).astype("int32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    data = tf.data.Dataset.from_tensor_slices((x, rng.integers(0, 2, 8)))
    return ModelProblem(model, loss, data, 4, second_order=False)


@pytest.mark.parametrize("name", ["layer normalisation", "an embedding"])
def test_a_training_step_on(name):
    """Nearly undisturbed, its loss is that of plain gradient descent; the step goes down it."""
    task = network_problem(name)
    trainer = make_trainer(task=task, unroll_steps=None, deviation=1e-3, pairs=1)
    rates = 0.1 * np.exp([0.0, 0.01, -0.01])
    curves = loss_curves(layers.GradientDescentCell(), task, [0], 2, list(rates))[:, 0]
    weights = np.array([0.6, 3.4])
    expected, more, less = np.log(curves[:, 1:] / curves[:, :1] + 0.003) @ weights / 2
    trainer.compile(keras.optimizers.SGD(1.0))
    found = trainer.fit(WHOLE, verbose=0).history
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-3, atol=1e-5)
    # One pair gives the slope times the square of a normal number.
    noise = float(trainer.cell.phi) / -((more - less) / 0.02)
    assert found["dropped"] == [0.0] and 0 < noise < 9
