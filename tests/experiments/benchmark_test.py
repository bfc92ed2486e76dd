"""Tests of the benchmark: its yardstick does the learner's arithmetic, its flags are checked."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from experiments import benchmark
from experiments.bare_tensorflow import BareTensorFlow
from meta_keras.learners import LSTMMetaLearner
from meta_keras.networks import conv4

REPOSITORY = __file__.rsplit("tests", 1)[0]


def _learner_and_episodes(steps=2, batch=2):
    learner = LSTMMetaLearner(conv4(5), inner_steps=steps)
    # The paper's initial values hide the recurrent terms: larger ones make them count.
    rng = np.random.default_rng(0)
    for variable in learner.cell.trainable_variables:
        variable.assign(rng.normal(scale=0.2, size=variable.shape))
    x = {
        "support_images": rng.uniform(size=(batch, 5, 28, 28, 1)).astype("float32"),
        "support_labels": np.tile(np.arange(5, dtype="int32"), (batch, 1)),
        "query_images": rng.uniform(size=(batch, 15, 28, 28, 1)).astype("float32"),
    }
    return learner, x, np.tile(np.arange(5, dtype="int32").repeat(3), (batch, 1))


def test_bare_tensorflow_has_the_learners_loss_and_meta_gradients():
    learner, x, y = _learner_and_episodes()
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        loss = loss_fn(y, learner({key: tf.constant(v) for key, v in x.items()}, training=True))
    sources = [learner.network.trainable_variables, learner.cell.trainable_variables]
    of_network, of_cell = tape.gradient(loss, [[v.value for v in vs] for vs in sources])
    expected = [tf.concat([tf.reshape(g, [-1]) for g in of_network], 0), *of_cell]
    bare_loss, actual = BareTensorFlow(learner).loss_and_gradients(x, y)
    np.testing.assert_allclose(bare_loss, loss, rtol=1e-5)
    for ours, theirs in zip(actual, expected, strict=True):
        scale = np.abs(theirs).max()
        assert scale > 0
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-4)


def test_bare_tensorflow_trains_as_keras_does():
    learner, x, y = _learner_and_episodes(steps=1, batch=1)
    bare = BareTensorFlow(learner)
    learner.compile(
        keras.optimizers.Adam(1e-3, global_clipnorm=0.25),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    before = learner.flat.parameters()
    for _ in range(2):
        learner.train_on_batch(x, y)
        bare.train_step(x, y)
    moved, bare_moved = learner.flat.parameters() - before, bare.variables[0] - before
    # Adam turns a gradient that is nothing but rounding into a full step of either sign.
    assert np.mean(np.abs(moved - bare_moved) < 1e-5) > 0.98
    assert np.abs(moved).max() > 1e-3


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("steps", "4,0"),
        ("steps", "many"),
        ("meta_batches", "-1"),
        ("orders", "3"),
        ("modes", "graph,fast"),
        ("updates", "0"),
        ("memory_updates", "-5"),
        ("output", "/no/such/folder/report.json"),
    ],
)
def test_a_bad_flag_is_refused_by_name_and_value(flag, value):
    finished = subprocess.run(
        [sys.executable, "-m", "experiments.benchmark", f"--{flag}={value}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert finished.returncode != 0
    assert flag in finished.stderr
    assert all(part in finished.stderr for part in value.split(","))
    assert "Traceback" not in finished.stderr


def test_a_measurement_and_its_row():
    settings = {**benchmark.REFERENCE, "contenders": ["graph", "bare"], "steps": 1, "updates": 10}
    settings["threads"] = {"intra_op": 1, "inter_op": 2}
    result = benchmark.run("measure", settings, timeout=300)
    assert "error" not in result, result
    assert all(len(seconds) == 10 for seconds in result["episode_seconds"].values())
    assert min(map(min, result["episode_seconds"].values())) > 0
    assert result["peak_mib"] > 100 > result["growth_mib"] >= 0
    rows = list(benchmark.table_rows("graph / bare", settings, result))
    assert [row.split()[2] for row in rows] == ["graph", "bare"]
    assert f"{np.median(result['episode_seconds']['bare']):.4f}" in rows[1]


def test_a_failed_measurement_is_told():
    result = benchmark.run("measure", {"contenders": ["graph"]}, timeout=300)
    assert "missing" in result["error"]
    (row,) = benchmark.table_rows("", benchmark.REFERENCE, result)
    assert "FAILED: exit code 1" in row


@pytest.mark.parametrize("good", [True, False])
def test_requirements(good):
    """Seconds an episode that just meet or just miss every requirement."""
    reference = benchmark.REFERENCE
    measurements = {
        "bare": {**reference, "contenders": ["graph", "bare"]},
        "eager": {**reference, "contenders": ["graph", "eager"]},
        "memory": {**reference, "updates": 1000},
        **{f"T={t}": {**reference, "steps": t} for t in (1, 4, 8)},
    }
    eager, bare = (4.1, 0.88) if good else (3.9, 0.86)
    growing = {1: 0.02, 4: 0.05, 8: 0.09 if good else 0.15}
    results = {
        "bare": {"episode_seconds": {"graph": [1.0, 2.0], "bare": [bare, 2 * bare]}},
        "eager": {"episode_seconds": {"graph": [1.0, 2.0], "eager": [eager, 2 * eager]}},
        "memory": {"episode_seconds": {"graph": [1.0]}, "growth_mib": 31.0 if good else 33.0},
        **{f"T={t}": {"episode_seconds": {"graph": [s]}} for t, s in growing.items()},
    }
    verdicts = benchmark.requirements(measurements, results)
    verdicts += benchmark.pipeline_requirement(
        results, {"episodes_per_second": 510.0 if good else 490.0}
    )
    assert [met for _, met in verdicts] == [good] * 5, verdicts
