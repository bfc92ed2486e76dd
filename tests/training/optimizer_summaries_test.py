"""Tests of what TensorBoard shows of the training of a learned optimizer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator

from meta_keras.layers import CoordinatewiseLSTM, GradientDescentCell
from meta_keras.optimizers import (
    OptimizerTrainer,
    loss_curves,
    seeds,
    truncations,
    validation_optimizations,
)
from meta_keras.problems import Quadratic
from meta_keras.training.optimizer_summaries import OptimizationSummaries

RUNS = seeds("validation", 3)


def _events(folder):
    """Dict from a kind to a dict from tag to `(step, value)`s."""
    accumulator = event_accumulator.EventAccumulator(str(folder))
    accumulator.Reload()
    found = {}
    for tag in accumulator.Tags()["tensors"]:
        kind = accumulator.SummaryMetadata(tag).plugin_data.plugin_name
        events = accumulator.Tensors(tag)
        numbers = [
            float(tf.make_ndarray(e.tensor_proto)) if kind == "scalars" else None for e in events
        ]
        found.setdefault(kind, {})[tag] = [
            (e.step, n) for e, n in zip(events, numbers, strict=True)
        ]
    return found


def test_events(tmp_path):
    problem, drawn, logged = Quadratic(dimensions=2, batch=3), [], []

    def draw(optimizers, horizon):
        drawn.append((optimizers, horizon))
        return np.zeros((4, 5, 3), "uint8")

    trainer = OptimizerTrainer(CoordinatewiseLSTM((4,)), problem, unroll_steps=5, horizon=10)
    trainer.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    summaries = OptimizationSummaries(
        tmp_path, problem, RUNS, 2, {"SGD": GradientDescentCell(0.1)}, draw
    )
    log = keras.callbacks.LambdaCallback(on_epoch_end=lambda _, logs: logged.append(set(logs)))
    history = trainer.fit(
        truncations(4, 10, 5),
        epochs=2,
        steps_per_epoch=2,
        validation_data=validation_optimizations(RUNS),
        callbacks=[summaries, log],
        shuffle=False,
        verbose=0,
    ).history
    assert logged == [{"loss", "val_loss", "val_final_loss"}] * 2  # Keras' own, nothing is added
    train, validation = _events(tmp_path / "train"), _events(tmp_path / "validation")
    for events, tag, values in (
        (train, "meta_loss", history["loss"]),
        (validation, "meta_loss", history["val_loss"]),
        (validation, "final_loss", history["val_final_loss"]),
    ):
        steps, seen = zip(*events["scalars"][tag], strict=True)
        assert steps == (2, 4)
        assert seen == pytest.approx(values)
    assert [step for step, _ in validation["images"]["optimizations"]] == [2, 4]
    assert set(validation["histograms"]) == {
        f"{name}/after_{step:03d}_steps" for name in ("update", "cell_state") for step in (1, 10)
    }
    (_, (last, horizon)) = drawn
    assert horizon == 10 and list(last) == ["learned", "SGD"]
    for name, cell in (("learned", trainer.cell), ("SGD", GradientDescentCell(0.1))):
        mean = loss_curves(cell, problem, RUNS, 10).mean(axis=0)
        np.testing.assert_allclose(last[name]["curve"], mean, rtol=1e-5)
        assert np.shape(last[name]["curve_ci95"]) == (11,)
