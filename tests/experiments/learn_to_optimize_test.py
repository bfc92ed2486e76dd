"""Tests of the program that trains optimizers, through its command line."""

import json
import pathlib
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from meta_keras.optimizers import truncations

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
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


def command(*arguments):
    return [sys.executable, "-m", "experiments.learn_to_optimize", *map(str, arguments)]


def succeed(*arguments):
    done = subprocess.run(
        command(*arguments), cwd=REPOSITORY, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def refuse(*arguments):
    """The message of a run that must end as a user's mistake, without a traceback."""
    done = subprocess.run(
        command(*arguments), cwd=REPOSITORY, capture_output=True, text=True, timeout=120
    )
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "finished"
    return folder, succeed(*TINY, f"--logdir={folder}")


def test_results(finished):
    folder, output = finished
    results = json.loads((folder / "results.json").read_text())
    assert (results["experiment"], results["problem"]) == ("learn_to_optimize", "quadratic")
    assert (results["steps"], results["runs"], results["train_optimizations"]) == (10, 3, 12)
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


def weights(folder):
    newest = max((folder / "checkpoints").iterdir())
    trainer = keras.models.load_model(newest / "learner.keras")
    return [v.numpy() for v in [*trainer.variables, *trainer.optimizer.variables]]


def test_killed_run_ends_with_the_same_weights(finished, tmp_path):
    arguments = [*TINY, f"--logdir={tmp_path / 'run'}"]
    process = subprocess.Popen(command(*arguments), cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    checkpoints = tmp_path / "run" / "checkpoints"
    deadline = time.monotonic() + 200
    while not list(checkpoints.glob("00000[12]")):
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (checkpoints / "000003").exists()
    assert "Continuing after optimization" in succeed(*arguments)
    for resumed, expected in zip(weights(tmp_path / "run"), weights(finished[0]), strict=True):
        np.testing.assert_array_equal(resumed, expected)


def test_finished_run_only_evaluates_again(finished):
    folder, _ = finished
    before = json.loads((folder / "results.json").read_text())["optimizers"]["learned"]
    output = succeed(*TINY, f"--logdir={folder}", "--eval_only", "--test_runs=3")
    assert "updates/s" not in output
    after = json.loads((folder / "results.json").read_text())["optimizers"]["learned"]
    assert after["curve"] == before["curve"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--steps=10", "--unroll_steps=3"], "multiple of --unroll_steps"),
        (["--steps=100", "--test_steps=50"], "--test_steps must be at least"),
        (["--units=20,zero"], "positive integers"),
        (["--eval_only", "--logdir=runs/there-is-none"], "no trained optimizer"),
    ],
)
def test_bad_flags(arguments, words):
    assert words in refuse(*arguments)
    assert not (REPOSITORY / "runs" / "there-is-none").exists()


def test_training_and_test_optimizations_never_meet():
    # In a process of its own: programs define flags of the same names.
    code = "from experiments import learn_to_optimize as l; "
    code += "print([s for name in l.STREAMS for s in l.seeds(name, 1000)])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=120
    )
    seeds = json.loads(done.stdout)
    assert len(set(seeds)) == 3000 and max(seeds) < 0
    training = [int(x["seed"][0]) for x in truncations(20, 10, 5)]
    assert min(training) >= 0 and len(set(training)) == 10
