"""Tests of the learned optimizer's part of the benchmark."""

import numpy as np
import pytest
import tensorflow as tf

from experiments import benchmark, optimizer_benchmark, optimizer_measurements
from experiments.bare_optimizer import BareOptimizerTrainer
from meta_keras.optimizers import truncations

HIDDEN, STEPS = 2, 3


def _trainer():
    problem = optimizer_measurements.make_problem(HIDDEN)
    # From the small weights it starts with, the derivative by the output bias is a sum of terms
    # that cancel to 1e-8, which float32 cannot tell from rounding; from larger ones it is not.
    problem.start = [100.0 * start for start in problem.start]
    trainer = optimizer_measurements.make_trainer("graph", problem, STEPS, recompute=False)
    rng = np.random.default_rng(0)
    for variable in trainer.cell.trainable_variables:
        variable.assign(rng.normal(scale=0.2, size=variable.shape))
    return trainer, problem


def _bare(trainer, problem):
    batch_size = optimizer_measurements.BATCH
    return BareOptimizerTrainer(trainer, problem.x, problem.y, HIDDEN, batch_size)


def test_bare_tensorflow_has_the_trainers_loss_and_meta_gradients():
    trainer, problem = _trainer()
    assert problem.size == optimizer_benchmark.coordinates({"hidden": HIDDEN})
    zero = tf.constant(0, tf.int64)
    theta = problem.initial_parameters(zero)
    with tf.GradientTape() as tape:
        loss, _, _ = trainer.truncation_loss(zero, zero, theta, trainer.cell.initial_state(theta))
    expected = tape.gradient(loss, [v.value for v in trainer.cell.trainable_variables])
    bare_loss, actual = _bare(trainer, problem).loss_and_gradients(theta, zero)
    np.testing.assert_allclose(bare_loss, loss, rtol=1e-5)
    for ours, theirs in zip(actual, expected, strict=True):
        scale = np.abs(theirs).max()
        assert scale > 0
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-4)


def test_bare_tensorflow_trains_as_keras_does():
    trainer, problem = _trainer()
    bare = _bare(trainer, problem)
    before = [v.numpy() for v in trainer.cell.trainable_variables]
    zero = tf.constant(0, tf.int64)
    trainer.fit(truncations(1, STEPS, STEPS), verbose=0)
    bare.train_step(problem.initial_parameters(zero), zero)
    for variable, ours, start in zip(
        trainer.cell.trainable_variables, bare.variables, before, strict=True
    ):
        assert np.abs(variable - start).max() > 1e-4
        # Adam turns a gradient that is nothing but rounding into a full step of either sign.
        assert np.mean(np.abs(variable.numpy() - ours.numpy()) < 1e-5) > 0.98


@pytest.mark.parametrize("function", ["measure_optimizer", "measure_recompute"])
def test_a_measurement_and_its_row(function):
    arguments = {"hidden": 2, "steps": 3, "updates": 10}
    arguments["threads"] = {"intra_op": 1, "inter_op": 2}
    if function == "measure_optimizer":
        arguments["contenders"] = ["graph", "bare"]
    else:
        arguments["recompute"] = True
    result = benchmark.run(function, arguments, timeout=300)
    assert "error" not in result, result
    assert result["peak_mib"] > 100
    text = optimizer_benchmark.row("name", result)
    if function == "measure_optimizer":
        assert all(len(s) == 10 and min(s) > 0 for s in result["step_seconds"].values())
        assert f"bare {np.median(result['step_seconds']['bare']):.4f} s" in text
    else:
        assert len(result["seconds"]) == 10 and 0 <= result["run_mib"] < result["peak_mib"]


def test_a_failed_measurement_is_told():
    result = benchmark.run("measure_optimizer", {"hidden": 2}, timeout=300)
    assert "FAILED: exit code 1" in optimizer_benchmark.row("name", result)


@pytest.mark.parametrize("good", [True, False])
def test_requirements(good):
    """Seconds that just meet or just miss every requirement."""
    measurements = optimizer_benchmark.plan(updates=2, quick=False)
    eager, bare = (2.1, 0.88) if good else (1.9, 0.86)
    results = {}
    for name, (function, settings) in measurements.items():
        if function == "measure_recompute":
            memory, seconds = (32.0, 1.55) if good else (35.0, 1.65)
            stored = {"run_mib": 100.0, "seconds": [1.0], "peak_mib": 200.0}
            recomputed = {"run_mib": memory, "seconds": [seconds], "peak_mib": 200.0}
            results[name] = recomputed if settings["recompute"] else stored
        elif len(settings["contenders"]) == 2:
            other = settings["contenders"][1]
            factor = {"bare": bare, "eager": eager}[other]
            results[name] = {"step_seconds": {"graph": [1.0, 2.0], other: [factor, 2 * factor]}}
        else:
            linear = settings["hidden"] * settings["steps"] / 400
            bent = linear if good else linear**3
            results[name] = {"step_seconds": {settings["contenders"][0]: [bent]}}
    verdicts = optimizer_benchmark.requirements(measurements, results)
    assert [met for _, met in verdicts] == [good] * 5, verdicts
