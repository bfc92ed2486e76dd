"""Tests of the validation of an `OptimizerTrainer` by Keras."""

import keras
import numpy as np
import pytest

from meta_keras.errors import SettingError
from meta_keras.layers import CoordinatewiseLSTM
from meta_keras.metrics import mean_and_ci95
from meta_keras.optimizers import (
    OptimizerTrainer,
    loss_curves,
    seeds,
    truncations,
    validation_optimizations,
)
from meta_keras.problems import Quadratic, RandomlyScaled

RUNS, HORIZON = seeds("validation", 4), 10
WEIGHTS = [2.0 * t / 11 for t in range(1, 16)]


def _trainer(problem, **kwargs):
    keras.utils.set_random_seed(0)
    cell = CoordinatewiseLSTM((4,), "rnnprop")
    trainer = OptimizerTrainer(cell, problem, unroll_steps=5, horizon=HORIZON, **kwargs)
    trainer.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    return trainer


def _fit(trainer, **kwargs):
    return trainer.fit(
        truncations(4, 10, 5),
        validation_data=validation_optimizations(RUNS),
        shuffle=False,
        verbose=0,
        **kwargs,
    ).history


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_it_is_the_mean_of_the_loss_curves(weights):
    problem = Quadratic(dimensions=2, batch=3)
    scaled = RandomlyScaled(problem, 2.0)
    trainer = _trainer(scaled, loss_weights=weights, validation_problem=problem)
    history = _fit(trainer, epochs=2, steps_per_epoch=2)
    curves = loss_curves(trainer.cell, problem, RUNS, HORIZON)
    mean, ci95 = mean_and_ci95(curves)
    np.testing.assert_allclose(trainer.curve.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(trainer.curve.ci95, ci95, rtol=1e-4)
    expected = np.average(mean[1:], weights=weights and weights[:HORIZON])
    np.testing.assert_allclose(history["val_loss"][-1], expected, rtol=1e-5)
    np.testing.assert_allclose(history["val_final_loss"][-1], mean[-1], rtol=1e-5)
    assert sorted(history) == ["loss", "val_final_loss", "val_loss"]
    assert history["val_loss"][0] != history["val_loss"][1]


def test_validation_changes_nothing(tmp_path):
    problem = Quadratic(dimensions=2, batch=3)
    trainer, plain = _trainer(problem), _trainer(problem)
    _fit(trainer)
    plain.fit(truncations(4, 10, 5), shuffle=False, verbose=0)
    for actual, expected in zip(trainer.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(actual, expected)
    trainer.save(tmp_path / "trainer.keras")
    loaded = keras.models.load_model(tmp_path / "trainer.keras")
    loaded.problem = problem
    assert loaded.horizon == HORIZON
    expected = trainer.evaluate(validation_optimizations(RUNS), return_dict=True, verbose=0)
    assert loaded.evaluate(validation_optimizations(RUNS), return_dict=True, verbose=0) == expected
    assert _fit(loaded) == _fit(trainer)
    for other in (loaded, trainer):
        other.horizon = 3
        other.evaluate(validation_optimizations(RUNS), verbose=0)
        curves = loss_curves(other.cell, problem, RUNS, 3)
        np.testing.assert_allclose(other.curve.mean, curves.mean(axis=0), rtol=1e-6)


def test_refusals():
    problem = Quadratic(dimensions=2, batch=3)
    data = validation_optimizations(RUNS)
    trainer = _trainer(problem, loss_weights=WEIGHTS[:9])
    with pytest.raises(SettingError, match=r"horizon=10 is longer than loss_weights.* 9\."):
        trainer.evaluate(data, verbose=0)
    trainer.problem = None
    with pytest.raises(SettingError, match="problem=None"):
        trainer.evaluate(data, verbose=0)
