"""Tests of tuned baselines and of comparisons with them."""

import numpy as np
import pytest
import tensorflow as tf

from meta_keras.errors import NonFiniteLoss, SettingError
from meta_keras.layers import CoordinatewiseLSTM, GradientDescentCell
from meta_keras.optimizers import (
    BASELINES,
    compare_on,
    curve_table,
    loss_curves,
    seeds,
    truncations,
    tuned,
    tuned_baselines,
)
from meta_keras.optimizers.baselines import STREAMS, verdict
from meta_keras.problems import Problem, Quadratic


class Broken(Problem):
    size = 1

    def initial_parameters(self, seed):
        return tf.ones(1)

    def loss(self, parameters, seed, step):
        return tf.reduce_sum(parameters) * float("nan")


def test_training_and_test_optimizations_never_meet():
    used = [seed for stream in STREAMS for seed in seeds(stream, 1000)]
    assert len(set(used)) == 3000 and max(used) < 0
    training = [int(x["seed"][0]) for x in truncations(20, 10, 5)]
    assert min(training) >= 0 and len(set(training)) == 10
    with pytest.raises(SettingError, match="stream='training' must be one of validation"):
        seeds("training", 1)
    for count in (-1, 1_000_001):
        with pytest.raises(SettingError, match=f"count={count} must be from 0 to 1,000,000"):
            seeds("test", count)


def test_the_rate_is_the_best_of_the_grid():
    problem, rates = Quadratic(dimensions=2, batch=2), (0.001, 0.01, 0.1, 10.0)
    rate, grid = tuned(GradientDescentCell, problem, 8, 3, 4, rates)
    curves = loss_curves(GradientDescentCell(), problem, seeds("tuning", 4), 8, rates)
    assert list(grid) == list(rates)
    assert rate == rates[int(np.argmin(curves[:, :, -1].mean(axis=1)))]
    np.testing.assert_allclose(grid[rate], curves[rates.index(rate), :, -1].mean(), rtol=1e-5)


def test_a_baseline_that_diverges_at_every_rate_is_named():
    words = (
        r"GradientDescentCell: after 3 steps .* not finite at any of the learning rates 0.5, 2\."
    )
    with pytest.raises(NonFiniteLoss, match=words):
        tuned(GradientDescentCell, Broken(), 3, 2, 2, [0.5, 2.0])


def test_table_of_all_optimizers():
    problem, cell = Quadratic(dimensions=2, batch=2), CoordinatewiseLSTM((3,))
    cell.build_once()
    baselines = tuned_baselines(problem, 4, 2, 3, rates=[0.01, 0.1])
    table = curve_table(cell, baselines, problem, seeds("test", 3), 4, 6)
    assert list(table) == ["learned", *BASELINES]
    for name, row in table.items():
        assert len(row["curve"]) == len(row["curve_ci95"]) == 7
        assert row["curve"][4] == pytest.approx(row["final_loss_mean"], rel=1e-6)
        assert row["curve_ci95"][4] == pytest.approx(row["final_loss_ci95"], rel=1e-5)
        assert row["curve"][0] == table["learned"]["curve"][0]  # the same starts for all
        expected = None if name == "learned" else baselines[name]["learning_rate"]
        assert row["learning_rate"] == expected


def test_comparison_on_a_task(monkeypatch, capsys):
    monkeypatch.setattr("meta_keras.optimizers.baselines.BASELINES", {"SGD": GradientDescentCell})
    cell = CoordinatewiseLSTM((3,))
    cell.build_once()
    found = compare_on(cell, Quadratic(dimensions=2, batch=2), 3, 2, 2, rates=[0.01, 0.1])
    assert capsys.readouterr().out == ""
    assert (found["steps"], found["runs"]) == (3, 2)
    assert list(found["optimizers"]) == ["learned", "SGD"]
    assert found["verdict"].endswith(" SGD")


@pytest.mark.parametrize(
    ("learned", "words"),
    [
        (1.0, "better than"),
        (1.95, "as good as (intervals overlap)"),
        (3.0, "WORSE than"),
        (float("nan"), "DIVERGING, behind"),
    ],
)
def test_verdict(learned, words):
    rows = [{"final_loss_mean": mean, "final_loss_ci95": 0.1} for mean in (learned, 2.0)]
    assert verdict(*rows) == words
