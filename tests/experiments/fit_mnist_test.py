"""Tests of the comparison of a learned optimizer with Adam in plain fit."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from experiments import fit_mnist, program
from meta_keras.errors import NonFiniteLoss


@pytest.fixture(scope="module")
def pictures():
    """`(images, labels)` of ten blobs in place of MNIST."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 500)
    images = np.clip(rng.random((10, 784))[labels] + rng.normal(0, 0.1, (500, 784)), 0, 1)
    return images.astype("float32"), labels


def test_curves_belong_to_their_seed(pictures):
    (alone,), (other, again) = (
        fit_mnist.curves(lambda: keras.optimizers.SGD(1.0), *pictures, seeds, 10)
        for seeds in ([0], [4, 0])
    )
    assert alone == pytest.approx(again, rel=1e-4) and alone != pytest.approx(other, rel=1e-4)
    assert len(alone) == 3
    assert alone[0] == pytest.approx(2.3, abs=0.1) and alone[2] < alone[1] < alone[0]


@pytest.fixture
def invented(pictures, monkeypatch, tmp_path, capsys):
    """Function `(plan)`: results and output of the program with invented curves.

    The plan is a dict from a rate, or `"learned"`, to `(start, level)`: after `start` steps the
    loss is `level`.
    """

    class Pictures:
        x, y = map(tf.constant, pictures)

    def run(plan):
        seen = []

        def curves(make_optimizer, x, y, seeds, steps):
            seen.append(list(seeds))
            optimizer, rate = make_optimizer(), "learned"
            if isinstance(optimizer, keras.optimizers.Adam):
                rate = f"{float(optimizer.learning_rate):g}"
            start, level = plan.get(rate, (0, 9.0))
            losses = np.where(np.arange(steps // 5 + 1) * 5 < start, 3.0, level)
            return np.stack([losses + 0.1 * k for k in range(len(seeds))])

        monkeypatch.setattr(fit_mnist, "curves", curves)
        monkeypatch.setattr(fit_mnist.problems, "mnist_mlp", lambda data_dir: Pictures)
        arguments = [f"--logdir={tmp_path}", "--runs=2", "--seed=7"]
        results = fit_mnist.main(program.parse(fit_mnist.define_flags, arguments))
        assert all(seeds == [7, 8] for seeds in seen)
        return results, capsys.readouterr().out

    return run


def test_the_best_rate_is_the_fastest(invented, tmp_path):
    plan = {"learned": (50, 1.0), "0.01": (200, 0.5), "0.02": (150, 0.9), "0.03": (150, 0.8)}
    results, output = invented(plan)
    assert results["target_loss"] == pytest.approx(1.05)
    needed = {f"Adam {rate:g}": None for rate in (0.005, 0.05, 0.07, 0.1)}
    needed |= {"Adam 0.01": 200, "Adam 0.02": 150, "Adam 0.03": 150}
    assert results["adam_steps"] == needed
    # Equally fast: the one that ends lower.
    assert list(results["optimizers"]) == ["learned", "Adam 0.03"]
    assert len(results["optimizers"]["learned"]["curve"]) == 301
    assert "Adam at its best (Adam 0.03) needs 150 steps." in output
    assert {"curves.png", "results.json"} <= {path.name for path in tmp_path.iterdir()}


def test_a_loss_that_no_rate_reaches(invented):
    results, output = invented({"learned": (50, 0.1), "0.005": (0, np.nan), "0.03": (0, 0.7)})
    assert set(results["adam_steps"].values()) == {None}
    assert list(results["optimizers"]) == ["learned", "Adam 0.03"]
    assert "Adam at its best (Adam 0.03) needs more than 300 steps." in output


def test_no_steps_are_a_number_too(invented):
    results, _ = invented({"learned": (50, 2.0), "0.005": (5, 1.0), "0.05": (0, 1.5)})
    assert results["adam_steps"]["Adam 0.05"] == 0
    assert list(results["optimizers"]) == ["learned", "Adam 0.05"]


def test_a_diverging_learned_optimizer_does_not_win(invented):
    with pytest.raises(NonFiniteLoss, match="mean loss after 100 steps is nan"):
        invented({"learned": (50, np.nan)})


@pytest.mark.parametrize(
    ("flag", "words"),
    [("--eval_only", "eval_only"), ("--steps=102", "multiple of 5"), ("--runs=1", "--runs=1")],
)
def test_bad_flags(refuse, flag, words):
    assert words in refuse(fit_mnist, flag)
