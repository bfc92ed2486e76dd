"""Tests of the program that trains optimizers, through its command line."""

import json
import signal
import time

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing import event_accumulator

from experiments import learn_to_optimize, program
from meta_keras.layers import AdamCell, GradientDescentCell, GroupedCell
from meta_keras.optimizers import LearnedOptimizer, baselines
from meta_keras.presets import preset_card

TINY = [
    "--units=4",
    "--optimizations=12",
    "--validation_interval=4",
    "--steps=10",
    "--unroll_steps=5",
    "--validation_runs=2",
    "--test_runs=3",
    "--test_steps=12",
]


@pytest.fixture(scope="module")
def finished(succeed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "finished"
    return folder, succeed("learn_to_optimize", *TINY, f"--logdir={folder}")


def test_results(finished):
    folder, output = finished
    results = json.loads((folder / "results.json").read_text())
    assert (results["experiment"], results["problem"]) == ("learn_to_optimize", "quadratic")
    assert (results["steps"], results["runs"], results["train_optimizations"]) == (10, 3, 12)
    assert (results["tuned_for_steps"], results["train_updates"]) == (10, 24)
    assert output.count("All rates are tuned for the loss after 10 steps.") == 1
    optimizers = results["optimizers"]
    assert list(optimizers) == ["learned", "SGD", "Nesterov", "RMSprop", "Adam"]
    for name, optimizer in optimizers.items():
        assert len(optimizer["curve"]) == len(optimizer["curve_ci95"]) == 13
        assert optimizer["curve"][10] == pytest.approx(optimizer["final_loss_mean"], rel=1e-6)
        # The same starts for all.
        assert optimizer["curve"][0] == optimizers["learned"]["curve"][0]
        assert name in output
        if name == "learned":
            continue
        # The rate is the best of its grid, not the first or the default.
        grid = {float(rate): loss for rate, loss in optimizer["grid"].items()}
        assert sorted(grid, key=grid.get).index(optimizer["learning_rate"]) < 3
        assert optimizer["curve"][10] < optimizer["curve"][0]
    assert (folder / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert b"<svg" in (folder / "curves.svg").read_bytes()[:2000]


def check_preset(folder):
    """The run's preset holds its best cell, and its card the figures of `results.json`."""
    cell = LearnedOptimizer.from_preset(folder / "optimizer").cell
    best = keras.models.load_model(folder / "best.keras", compile=False).cell
    for variable, expected in zip(cell.variables, best.variables, strict=True):
        np.testing.assert_array_equal(variable, expected)
    card, results = (
        preset_card(folder / "optimizer"),
        json.loads((folder / "results.json").read_text()),
    )
    for key in ("problem", "steps", "runs", "train_optimizations", "train_updates", "versions"):
        assert card[key] == results[key]
    assert card["flags"].items() <= results["flags"].items() and "data_dir" not in card["flags"]
    for name, row in results["optimizers"].items():
        assert card["optimizers"][name].items() <= row.items()
    assert not list(folder.glob("optimizer.*"))
    return cell


def test_optimizer_is_left_as_a_preset(finished):
    folder, output = finished
    check_preset(folder)
    assert f"from_preset: {folder / 'optimizer'}" in output


def weights(folder):
    newest = max((folder / "checkpoints").iterdir())
    trainer = keras.models.load_model(newest / "learner.keras")
    return [v.numpy() for v in [*trainer.variables, *trainer.optimizer.variables]]


def test_killed_run_ends_with_the_same_weights(finished, start, succeed, tmp_path):
    arguments = [*TINY, f"--logdir={tmp_path / 'run'}"]
    process = start("learn_to_optimize", *arguments)
    checkpoints = tmp_path / "run" / "checkpoints"
    deadline = time.monotonic() + 200
    while not list(checkpoints.glob("00000[12]")):
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (checkpoints / "000003").exists()
    assert "Continuing after update" in succeed("learn_to_optimize", *arguments)
    for resumed, expected in zip(weights(tmp_path / "run"), weights(finished[0]), strict=True):
        np.testing.assert_array_equal(resumed, expected)


def events(folder):
    """Tags and steps of the events in a folder: dict from a kind to a dict from tag to steps."""
    accumulator = event_accumulator.EventAccumulator(str(folder))
    accumulator.Reload()
    found = {}
    for tag in accumulator.Tags()["tensors"]:
        kind = accumulator.SummaryMetadata(tag).plugin_data.plugin_name
        found.setdefault(kind, {})[tag] = [event.step for event in accumulator.Tensors(tag)]
    return found


def test_tensorboard(finished):
    folder, _ = finished
    steps = [8, 16, 24]  # updates; four optimizations of two truncations between validations
    assert events(folder / "train")["scalars"] == {"meta_loss": steps}
    validation = events(folder / "validation")
    assert validation["scalars"] == {"meta_loss": steps, "final_loss": steps}
    assert validation["images"] == {"optimizations": steps}
    assert validation["histograms"] == {
        f"{name}/after_{step:03d}_steps": steps
        for name in ("update", "cell_state")
        for step in (1, 10)
    }


def test_preset_is_tested_without_training(plain_runtime, monkeypatch, tmp_path, capsys):
    """In this process, beside one baseline."""
    monkeypatch.setattr(baselines, "BASELINES", {"SGD": GradientDescentCell})
    arguments = ["--eval_only", "--preset=quadratic", "--steps=20", "--test_steps=20"]
    arguments += ["--validation_runs=2", "--test_runs=3", f"--logdir={tmp_path / 'run'}"]
    learn_to_optimize.main(program.parse(learn_to_optimize.define_flags, arguments))
    assert "updates/s" not in capsys.readouterr().out
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert (results["preset"], results["train_optimizations"]) == ("quadratic", 0)
    final = {name: row["final_loss_mean"] for name, row in results["optimizers"].items()}
    assert final["learned"] < final["SGD"]


def test_characters_with_groups_and_a_curriculum(plain_runtime, monkeypatch, tmp_path, glyphs_dir):
    """In this process, and with two baselines for the four of the other runs."""
    monkeypatch.setattr(baselines, "BASELINES", {"SGD": GradientDescentCell, "Adam": AdamCell})
    arguments = [*TINY, "--optimizations=2", "--validation_interval=1", "--test_runs=2"]
    arguments += ["--problem=glyphs", f"--data_dir={glyphs_dir}", "--grouped", "--recompute"]
    arguments += ["--steps=2", "--unroll_steps=2", "--curriculum=2,4", "--test_steps=3"]
    arguments += ["--loss_weights=linear", "--random_scale=1", f"--logdir={tmp_path / 'run'}"]
    learn_to_optimize.main(program.parse(learn_to_optimize.define_flags, arguments))
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["problem"] == "glyphs" and results["flags"]["grouped"]
    # Optimizations of --steps are not what a curriculum consists of.
    assert (results["train_updates"], results["train_optimizations"]) == (2, None)
    assert isinstance(check_preset(tmp_path / "run"), GroupedCell)
    assert np.isfinite(results["optimizers"]["learned"]["curve"]).all()


def test_finished_run_only_evaluates_again(finished, succeed):
    folder, _ = finished
    before = json.loads((folder / "results.json").read_text())["optimizers"]["learned"]
    (folder / "optimizer" / "card.json").write_text("{}")
    output = succeed(
        "learn_to_optimize", *TINY, f"--logdir={folder}", "--eval_only", "--test_runs=3"
    )
    assert "updates/s" not in output
    check_preset(folder)  # a new one
    after = json.loads((folder / "results.json").read_text())["optimizers"]["learned"]
    assert after["curve"] == before["curve"]


REFUSALS = [
    (["--steps=10", "--unroll_steps=3"], "multiple of --unroll_steps"),
    (["--steps=100", "--test_steps=50"], "--test_steps=50 must be at least --steps=100"),
    (["--units=20,zero"], "positive integers"),
    (["--curriculum=20,50"], "--curriculum must be positive multiples of --unroll_steps"),
    (["--generalize"], "--generalize does not go with --problem=quadratic, only with mnist"),
    (["--grouped"], "--grouped does not go with --problem=quadratic, only with omniglot"),
    (["--gradient_rate=0.1", "--preprocessing=none"], "--gradient_rate=0.1 needs --preproc"),
    (["--random_scale=nan"], "--random_scale=nan"),
    (["--gradient_rate=inf"], "--gradient_rate=inf"),
    (["--clip_norm=nan"], "--clip_norm=nan"),
    (["--steps=20", "--optimizations=1", "--curriculum=20,40"], "have more horizons than there"),
    (["--preset=quadratic"], "add --eval_only"),
    (["--eval_only", "--preset=nothing"], "neither a folder"),
    (["--data_dir=x"], "--data_dir=x does not go with --problem=quadratic"),
    (["--problem=mnist", "--variant=uniform"], "--variant=uniform does not go with"),
    (["--eval_only", "--logdir=runs/there-is-none"], "no trained optimizer"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSALS)
def test_refusals(refuse, arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert words in refuse(learn_to_optimize, *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("number", "code"), [(8, 1), (4, 2)])
def test_refusal_ends_the_program_without_a_traceback(call, number, code):
    arguments, words = REFUSALS[number]
    done = call("learn_to_optimize", *arguments)
    assert done.returncode == code and words in done.stderr and "Traceback" not in done.stderr
