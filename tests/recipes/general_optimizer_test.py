"""Tests of the recipe of the optimizer for any network."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras import LearnedOptimizer, presets, recipes
from meta_keras.errors import SettingError
from meta_keras.problems import held_out, mixture
from meta_keras.problems.model import ModelProblem
from meta_keras.training.progress import Progress
from tests.optimizers.courses_test import line_task

TINY = {
    "updates": 4,
    "validation_updates": 2,
    "tasks_per_update": 2,
    "horizons": (2, 3),
    "validation_steps": (2,),
}


@pytest.fixture(autouse=True)
def tasks(monkeypatch):
    """Two lines to learn, one for validation, one held out."""

    def line(data_dir):
        keras.utils.set_random_seed(0)
        task = line_task()
        data = tf.data.Dataset.from_tensor_slices(task.train)
        return ModelProblem(task.make_model(), task.loss, data, 4)

    monkeypatch.setattr(mixture, "training_tasks", lambda d: {"a": line(d), "b": line(d)})
    monkeypatch.setattr(mixture, "validation_tasks", lambda d: {"c": line(d)})
    monkeypatch.setattr(held_out, "held_out_tasks", lambda *folders: {"d": line_task()})


@pytest.fixture
def make(plain_runtime, eagerly):
    return lambda **settings: recipes.GeneralOptimizer(**{**TINY, **settings})


def test_trains_and_becomes_a_preset(make, tmp_path):
    results = make().fit(tmp_path / "run", verbose=False)
    assert results == json.loads((tmp_path / "run" / "results.json").read_text())
    assert (results["train_updates"], results["method"]) == (4, "corrected_adam")
    assert results["best_update"] in (2, 4) and np.isfinite(results["validation_loss"])
    optimizer = LearnedOptimizer.from_preset(tmp_path / "run" / "optimizer", steps=7)
    assert optimizer.cell.steps == 7
    assert any(np.abs(v.numpy()).max() > 1e-3 for v in optimizer.cell.trainable_variables)
    assert presets.preset_method(tmp_path / "run" / "optimizer") == "corrected_adam"
    tags = set()
    for file in (tmp_path / "run" / "validation").glob("events*"):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            tags |= {(value.tag, event.step) for value in event.summary.value}
    assert {("task/c", 2), ("task/c", 4), ("meta_loss", 4)} <= tags


def test_interrupted_run_ends_with_the_same_weights(make, tmp_path, monkeypatch):
    make().fit(tmp_path / "whole", verbose=False)
    begin = Progress.on_epoch_begin

    def interrupt(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt
        begin(self, epoch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "on_epoch_begin", interrupt)
        with pytest.raises(KeyboardInterrupt):
            make().fit(tmp_path / "stopped")
    make().fit(tmp_path / "stopped", verbose=False)
    whole, stopped = (
        keras.models.load_model(tmp_path / name / "checkpoints" / "000002" / "learner.keras")
        for name in ("whole", "stopped")
    )
    for one, other in (
        (whole.variables, stopped.variables),
        (whole.optimizer.variables, stopped.optimizer.variables),
    ):
        for expected, actual in zip(one, other, strict=True):
            np.testing.assert_array_equal(actual, expected)


def test_a_preset_is_tested_beside_others(make, tmp_path, capsys):
    cell = make().cell()
    LearnedOptimizer(cell).save_to_preset(tmp_path / "preset", {"method": "corrected_adam"})
    recipe = recipes.recipe(
        None, preset=str(tmp_path / "preset"), suite=True, suite_runs=2, suite_steps=(3,)
    )
    results = recipe.fit(tmp_path / "tested", eval_only=True, verbose=False)
    assert {row["task"] for row in results["suite"]["rows"]} == {"d"}
    assert capsys.readouterr().out == ""
    assert results["suite"]["runs"] == 2 and results["train_updates"] == 0


@pytest.mark.parametrize(
    ("settings", "fit", "words"),
    [
        ({"horizons": (9,)}, {}, "horizons.*60,1000, not 9"),
        ({"horizons": (9, 8)}, {}, "the shortest and the longest"),
        ({"gradient": "backpropagation"}, {}, "needs `unroll_steps`"),
        ({"unroll_steps": 3}, {}, "unroll_steps=3 must be at most the shortest"),
        ({"gradient": "backpropagation", "unroll_steps": 2, "pairs": 3}, {}, "pairs=3 .* gradient"),
        ({"preset": "general", "rate": 3.0}, {}, "rate=3.0 is only heeded with no preset"),
        ({"suite_runs": 3}, {}, "suite_runs=3 is only heeded with suite"),
        ({"suite": True, "suite_steps": (5, 3)}, {}, "must be positive and go up.*not 5,3"),
        ({"task_runs": 1, "validation_steps": (2, 3)}, {}, "needs task_runs of 2 or more, not 1"),
        ({"preset": "mnist_mlp", "suite": True}, {"eval_only": True}, "a CoordinatewiseLSTM, not"),
        ({"updates": 3}, {}, "updates=3 must be a multiple of validation_updates=2"),
        ({}, {"eval_only": True}, "tests on the tasks of `suite`"),
        ({"suite": True}, {"eval_only": True}, "no trained optimizer in"),
        ({"preset": "quadratic"}, {}, "preset=quadratic can only be tested"),
    ],
)
def test_refusals(make, tmp_path, settings, fit, words):
    with pytest.raises(SettingError, match=words):
        make(**settings).fit(tmp_path / "run", verbose=False, **fit)
    assert not (tmp_path / "run").exists()
