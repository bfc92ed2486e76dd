"""Tests of the learned optimizer's recipe: its defaults, its baselines, its transfer set."""

import json
import pathlib

import keras
import numpy as np
import pytest

from meta_keras import problems, recipes
from meta_keras.errors import SettingError
from meta_keras.layers import GradientDescentCell
from meta_keras.optimizers import baselines
from meta_keras.recipes import optimizer_run
from meta_keras.training import runtime

TINY = {
    "units": (4,),
    "optimizations": 2,
    "validation_interval": 1,
    "steps": 4,
    "unroll_steps": 2,
    "validation_runs": 2,
    "test_runs": 2,
    "test_steps": 5,
}


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        ("quadratic", ("rnnprop", 0.1, 0.0, 3000, False, "equal", 100, 20, 100)),
        ("mnist", ("combined", 0.03, 0.1, 400, True, "linear", 50, 20, 100)),
        ("glyphs", ("combined", 0.01, 0.0, 400, False, "equal", 50, 10, 20)),
    ],
)
def test_defaults_of_a_problem(problem, expected):
    recipe = recipes.recipe("coordinatewise_lstm", problem=problem)
    names = "preprocessing output_scale gradient_rate optimizations second_order loss_weights "
    names += "validation_interval validation_runs test_runs"
    assert tuple(getattr(recipe, name) for name in names.split()) == expected


def test_what_is_trained():
    recipe = recipes.recipe("coordinatewise_lstm", **TINY, random_scale=1.0, loss_weights="linear")
    trainer = recipe.learner()
    assert isinstance(trainer.problem, problems.RandomlyScaled)
    assert isinstance(trainer.validation_problem, problems.Quadratic)
    np.testing.assert_allclose(trainer.loss_weights, [0.4, 0.8, 1.2, 1.6])
    assert [int(x["step"][0]) for x in recipe.episodes("train")] == [0, 2, 0, 2]
    assert [int(x["step"][0]) for x in recipe.episodes("train", 1, start=3)] == [2]
    assert recipe.loss() is None


def test_xla_is_told_of_once(monkeypatch, tmp_path):
    """Deterministic operations, which a run without XLA begins with, would keep it off."""
    asked = []
    monkeypatch.setattr(
        runtime, "set_up", lambda seed, *_, jit_compile=False: asked.append(jit_compile)
    )
    recipe = recipes.recipe("coordinatewise_lstm", **TINY, jit_compile=True)
    with pytest.raises(SettingError, match="there is no trained optimizer"):
        recipe.fit(tmp_path / "run", eval_only=True)
    assert asked == [True]


def test_xla_and_a_strategy_are_refused():
    with pytest.raises(SettingError, match="jit_compile=True cannot be had with strategy=mirrored"):
        recipes.recipe("coordinatewise_lstm", **TINY, jit_compile=True, strategy="mirrored")


def test_runs_from_python(plain_runtime, tmp_path, capsys):
    recipe = recipes.recipe("coordinatewise_lstm", **TINY)
    results = recipe.fit(tmp_path / "run", verbose=False)
    assert capsys.readouterr().out == ""
    assert results == json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["train_updates"] == 4


def test_training_and_test_optimizations_never_meet():
    recipe = recipes.recipe("coordinatewise_lstm", **TINY, seed=0)
    trained = {int(x["seed"][0]) for x in recipe.episodes("train")}
    streams = [set(baselines.seeds(stream, 1000)) for stream in baselines.STREAMS]
    for number, stream in enumerate(streams):
        assert not stream & trained
        assert not any(stream & other for other in streams[:number])


@pytest.mark.parametrize(
    ("settings", "anew"),
    [
        ({}, False),
        ({"optimizations": 7, "validation_interval": 7}, False),
        ({"problem": "mnist"}, True),
        ({"variant": "uniform"}, True),
        ({"steps": 8, "test_steps": 8}, True),
        ({"seed": 1}, True),
        ({"test_runs": 9}, True),
    ],
)
def test_baselines_are_tuned_once_for_the_same_problem(monkeypatch, tmp_path, settings, anew):
    calls = []

    def tuned_baselines(*arguments):
        calls.append(arguments)
        return RATES

    monkeypatch.setattr(baselines, "tuned_baselines", tuned_baselines)
    monkeypatch.setattr(problems, "mnist_mlp", lambda data_dir: None)
    for changes in ({}, settings):
        recipe = recipes.recipe("coordinatewise_lstm", **{**TINY, **changes})
        optimizer_run.tuned_baselines(recipe, tmp_path, lambda text: None)
    assert len(calls) == 1 + anew


ROW = {"learning_rate": 0.1, "grid": {"0.1": 2.5, "0.2": float("nan")}}
RATES = {name: ROW for name in baselines.BASELINES}


@pytest.mark.parametrize(
    "damage",
    [
        lambda saved: "{",
        lambda saved: "[]",
        lambda saved: "[" * 100_000,
        lambda saved: {**saved, "baselines": None},
        lambda saved: {**saved, "baselines": {**RATES, "Adam": {"learning_rate": 0.1}}},
        lambda saved: {**saved, "baselines": {**RATES, "SGD": {**ROW, "learning_rate": "0.1"}}},
        lambda saved: {**saved, "baselines": {**RATES, "SGD": {**ROW, "learning_rate": 0.3}}},
        lambda saved: {**saved, "baselines": {**RATES, "SGD": {**ROW, "learning_rate": 0.2}}},
        lambda saved: {**saved, "baselines": {"SGD": ROW}},
    ],
)
def test_damaged_baselines_are_made_anew_and_named(monkeypatch, tmp_path, damage):
    monkeypatch.setattr(baselines, "tuned_baselines", lambda *_: RATES)
    recipe, file, said = recipes.recipe("coordinatewise_lstm"), tmp_path / "baselines.json", []
    optimizer_run.tuned_baselines(recipe, tmp_path, said.append)
    whole = file.read_text()
    found = damage(json.loads(whole))
    file.write_text(found if isinstance(found, str) else json.dumps(found))
    said.clear()
    assert optimizer_run.tuned_baselines(recipe, tmp_path, said.append) == RATES
    assert str(file) in said[0] and "is damaged" in said[0] and "Tuning" in said[1]
    assert file.read_text() == whole


def test_transfer_set_of_mnist(plain_runtime, omniglot_dir, tmp_path, monkeypatch, capsys):
    if not (pathlib.Path(omniglot_dir) / "mnist").is_dir():
        pytest.skip("MNIST is not prepared beside Omniglot")
    whole = problems.mnist_transfer_set(omniglot_dir)
    assert {name: (problem.size, steps) for name, (problem, steps) in whole.items()} == {
        "200 steps": (15910, 200),
        "1,000 steps": (15910, 1000),
        "40 hidden units": (31810, 100),
        "two hidden layers": (16330, 100),
        "ReLU": (15910, 100),
    }
    shorter = {name: (whole[name][0], 2) for name in ("two hidden layers", "ReLU")}
    monkeypatch.setattr(optimizer_run, "mnist_transfer_set", lambda data_dir: shorter)
    tuned = baselines.tuned_baselines

    def two_rates_instead_of_thirteen(*arguments):
        return tuned(*arguments[:4], rates=[0.1, 1.0])

    monkeypatch.setattr(baselines, "tuned_baselines", two_rates_instead_of_thirteen)
    monkeypatch.setattr(baselines, "BASELINES", {"SGD": GradientDescentCell})
    keras.utils.set_random_seed(0)
    recipe = recipes.recipe(
        "coordinatewise_lstm", **TINY, problem="mnist", generalize=True, generalize_runs=2,
        data_dir=omniglot_dir,
    )  # fmt: skip
    found = recipe.fit(tmp_path / "run")["generalization"]
    assert list(found) == ["two hidden layers", "ReLU"]
    for result in found.values():
        assert (result["steps"], result["runs"]) == (2, 2)
        assert list(result["optimizers"]) == ["learned", "SGD"]
    assert capsys.readouterr().out.count("Not trained for: ") == 2
    assert (tmp_path / "run" / "generalization.png").read_bytes()[:4] == b"\x89PNG"
