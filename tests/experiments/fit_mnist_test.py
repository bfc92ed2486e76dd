"""Tests of the comparison of a learned optimizer with Adam in plain fit."""

import json
import pathlib
import subprocess
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
# In a process of its own: programs define flags of the same names.
PROGRAM = """
import json, pathlib, sys
import keras
import numpy as np
import tensorflow as tf
from absl import flags
from absl.testing import flagsaver
from experiments import fit_mnist, program
from meta_keras import problems
from meta_keras.callbacks import NonFiniteLoss

found, folder = {}, pathlib.Path(sys.argv[1])
rng = np.random.default_rng(0)
labels = rng.integers(0, 10, 500)
images = np.clip(rng.random((10, 784))[labels] + rng.normal(0, 0.1, (500, 784)), 0, 1)
images = images.astype("float32")

# Real curves, of two seeds in either order.
curves = [
    fit_mnist.curves(lambda: keras.optimizers.SGD(1.0), images, labels, seeds, 10)
    for seeds in ([0], [4, 0])
]
found["curves"] = [losses.tolist() for losses in curves]

# The program, with invented curves: after `start` steps the loss is constant.
def invented(make_optimizer, x, y, seeds, steps):
    found.setdefault("seeds", []).append(list(seeds))
    optimizer = make_optimizer()
    rate = "learned"
    if isinstance(optimizer, keras.optimizers.Adam):
        rate = f"{float(optimizer.learning_rate):g}"
    start, level = plan.get(rate, (0, 9.0))
    losses = np.where(np.arange(steps // 5 + 1) * 5 < start, 3.0, level)
    return np.stack([losses + 0.1 * k for k in range(len(seeds))])

class Pictures:
    x, y = tf.constant(images), tf.constant(labels)

fit_mnist.curves = invented
fit_mnist.problems.mnist_mlp = lambda data_dir: Pictures
plans = {
    "reached": {"learned": (50, 1.0), "0.01": (200, 0.5), "0.02": (150, 0.9), "0.03": (150, 0.8)},
    "not_reached": {"learned": (50, 0.1), "0.005": (0, np.nan), "0.03": (0, 0.7)},
    "at_once": {"learned": (50, 2.0), "0.005": (5, 1.0), "0.05": (0, 1.5)},
    "diverging": {"learned": (50, np.nan)},
}
for name, plan in plans.items():
    with flagsaver.flagsaver():
        flags.FLAGS(["fit_mnist", f"--logdir={folder / name}", "--runs=2", "--seed=7"])
        try:
            fit_mnist.main()
            found[name] = json.loads((folder / name / "results.json").read_text())
        except NonFiniteLoss as error:
            found[name] = str(error)
found["refused"] = []
for argument in ("--eval_only", "--resume"):
    with flagsaver.flagsaver():
        flags.FLAGS(["fit_mnist", argument, f"--logdir={folder / 'refused'}"])
        try:
            fit_mnist.main()
        except program.UsageError as error:
            found["refused"].append(str(error))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the program finds out, and `output`, what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path_factory.mktemp("fit"))],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    *output, last = done.stdout.splitlines()
    return {**json.loads(last), "output": "\n".join(output)}


def test_curves_belong_to_their_seed(found):
    (alone,), (other, again) = found["curves"]
    assert alone == pytest.approx(again, rel=1e-4) and alone != pytest.approx(other, rel=1e-4)
    assert len(alone) == 3
    assert alone[0] == pytest.approx(2.3, abs=0.1) and alone[2] < alone[1] < alone[0]


def test_the_best_rate_is_the_fastest(found):
    results = found["reached"]
    assert results["target_loss"] == pytest.approx(1.05)
    needed = {f"Adam {rate:g}": None for rate in (0.005, 0.05, 0.07, 0.1)}
    needed |= {"Adam 0.01": 200, "Adam 0.02": 150, "Adam 0.03": 150}
    assert results["adam_steps"] == needed
    # Equally fast: the one that ends lower.
    assert list(results["optimizers"]) == ["learned", "Adam 0.03"]
    assert len(results["optimizers"]["learned"]["curve"]) == 301
    assert "Adam at its best (Adam 0.03) needs 150 steps." in found["output"]
    assert results["seed"] == 7 and {tuple(seeds) for seeds in found["seeds"]} == {(7, 8)}


def test_a_loss_that_no_rate_reaches(found):
    assert set(found["not_reached"]["adam_steps"].values()) == {None}
    assert list(found["not_reached"]["optimizers"]) == ["learned", "Adam 0.03"]
    assert "Adam at its best (Adam 0.03) needs more than 300 steps." in found["output"]


def test_no_steps_are_a_number_too(found):
    assert found["at_once"]["adam_steps"]["Adam 0.05"] == 0
    assert list(found["at_once"]["optimizers"]) == ["learned", "Adam 0.05"]


def test_a_diverging_learned_optimizer_does_not_win(found):
    assert (
        found["diverging"]
        == "The learned optimizer diverges: its mean loss after 100 steps is nan."
    )


@pytest.mark.parametrize("number", range(2))
def test_flags_without_meaning_are_refused(found, number):
    assert (
        f"--{('eval_only', 'resume')[number]}: nothing is trained here" in found["refused"][number]
    )
