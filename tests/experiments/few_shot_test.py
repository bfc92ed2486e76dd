"""Tests of the few-shot program: a run through its command line, killed, continued, evaluated."""

import json
import shutil
import signal
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from experiments import few_shot

# Small enough to compile within seconds.
TINY = [
    "--filters=4",
    "--nquery=1",
    "--test_nquery=1",
    "--meta_batch=2",
    "--validation_interval=20",
    "--validation_episodes=4",
    "--test_episodes=6",
]
WHOLE = [*TINY, "--inner_steps=1", "--episodes=60"]
# For what shows in the first updates already; of the flags that are given twice the last counts.
SHORT = ["--validation_interval=4", "--validation_episodes=2", "--episodes=4", "--test_episodes=2"]


def weights(folder):
    newest = max((folder / "checkpoints").iterdir())
    learner = keras.models.load_model(newest / "learner.keras")
    return [np.array(v) for v in [*learner.variables, *learner.optimizer.variables]]


@pytest.fixture(scope="session")
def data(any_data):
    """Flags that name the data: Omniglot where there is one, else glyphs."""
    dataset, folder = any_data
    return [f"--dataset={dataset}", f"--data_dir={folder}"]


@pytest.fixture(scope="session")
def finished(data, succeed, tmp_path_factory):
    """A run of three validations that was never interrupted: `(folder, output, flags)`."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    flags = [*WHOLE, *data]
    return folder, succeed("few_shot", *flags, f"--logdir={folder}"), flags


def read(folder):
    return json.loads((folder / "results.json").read_text())


def test_results(finished, any_data):
    folder, output, _ = finished
    results = read(folder)
    expected = {
        "experiment": "few_shot", "method": "lstm", "dataset": any_data[0], "split": "random",
        "nway": 5, "kshot": 1, "seed": 0, "train_episodes": 60, "test_episodes": 6,
        "batch_norm": "transductive",
    }  # fmt: skip
    assert {name: results[name] for name in expected} == expected
    assert 0 <= results["test_accuracy"] <= 1
    assert 0 < results["test_ci95"] < 1
    assert results["wall_seconds"] > 0
    assert {"meta_keras", "tensorflow", "keras", "numpy", "python"} <= set(results["versions"])
    assert results["flags"]["filters"] == 4
    assert f"{results['test_accuracy']:.2%}" in output
    assert output.count("episodes/s") == 3
    picture = tf.io.decode_png(tf.io.read_file(str(folder / "episode.png")))
    assert picture.shape[2] == 3 and picture.shape[0] > 100


def test_tensorboard_events(finished):
    tags, steps = {"train": set(), "validation": set()}, set()
    for part in tags:
        for file in (finished[0] / part).glob("events*"):
            for event in tf.compat.v1.train.summary_iterator(str(file)):
                for value in event.summary.value:
                    tags[part].add(value.tag)
                    if value.tag == "accuracy":
                        steps.add(event.step)
    assert {"loss", "accuracy", "gradient_norm", "episodes_per_second"} <= tags["train"]
    assert {
        "loss",
        "accuracy",
        "episode",
        "flags",
        "inner_loop/support_loss_before_step_01",
        "inner_loop/query_loss_before_adaptation",
        "inner_loop/query_loss_after_adaptation",
        "input_gate/step_01",
        "forget_gate/step_01",
    } <= tags["validation"]
    assert steps == {20, 40, 60}


def test_killed_and_preempted_run_ends_with_the_same_weights(finished, start, succeed, tmp_path):
    folder, _, flags = finished
    flags = [*flags, f"--logdir={tmp_path / 'run'}"]
    process = start("few_shot", *flags)
    checkpoints = tmp_path / "run" / "checkpoints"
    deadline = time.monotonic() + 200
    while not list(checkpoints.glob("00000[12]")):
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (checkpoints / "000003").exists()
    # Then preempted: it ends in order, and goes on as well.
    process = start("few_shot", *flags)
    assert any("Continuing after episode" in line for line in process.stdout)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    assert "Continuing after episode" in succeed("few_shot", *flags)
    for resumed, expected in zip(weights(tmp_path / "run"), weights(folder), strict=True):
        np.testing.assert_array_equal(resumed, expected)
    assert read(tmp_path / "run")["test_accuracy"] == read(folder)["test_accuracy"]


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished run's folder."""
    shutil.copytree(finished[0], tmp_path / "copy")
    return tmp_path / "copy"


def test_finished_run_only_evaluates_again(copy, run, capsys):
    before = read(copy)
    (copy / "results.json").unlink()
    run(copy, *WHOLE)
    assert "episodes/s" not in capsys.readouterr().out
    after = read(copy)
    assert after["test_accuracy"] == before["test_accuracy"]
    assert after["wall_seconds"] == before["wall_seconds"]
    # Another number of test episodes is not another run.
    run(copy, *WHOLE, "--eval_only", "--test_episodes=8")
    assert read(copy)["test_episodes"] == 8


def test_jit_compile_really_compiles(data, call, tmp_path):
    """Of a learner that is compiled soon: a plain step of first order, two classes, one episode."""
    learner = [
        "--meta_batch=1",
        "--method=fomaml",
        "--inner_steps=1",
        "--test_inner_steps=1",
        "--nway=2",
    ]
    flags = [*TINY, *SHORT, *learner, *data, f"--logdir={tmp_path / 'run'}", "--jit_compile"]
    done = call("few_shot", *flags)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Test accuracy" in done.stdout
    # Keras only warns when it goes on without XLA; XLA says so when it compiles.
    assert "Proceeding with" not in done.stderr


def test_mixed_precision_under_a_strategy(data, succeed, tmp_path):
    flags = [*TINY, *SHORT, *data, "--mixed_precision", "--strategy=mirrored"]
    succeed("few_shot", *flags, f"--logdir={tmp_path / 'run'}")
    learner = keras.models.load_model(tmp_path / "run" / "best.keras", compile=False)
    assert learner.network.layers[1].compute_dtype == "bfloat16"
    assert learner.network.layers[1].kernel.dtype == "float32"


def test_other_flags_on_the_same_folder_are_refused(finished, refuse):
    folder, _, flags = finished
    saved = (folder / "flags.json").read_text()
    flags = [*flags, f"--logdir={folder}"]
    message = refuse(few_shot, *flags, "--learning_rate=0.5", "--seed=7")
    assert "learning_rate: 0.002 there, 0.5 now" in message
    assert "seed: 0 there, 7 now" in message
    assert (folder / "flags.json").read_text() == saved
    assert "--noresume" in refuse(few_shot, *flags, "--noresume")


def test_damaged_checkpoint(finished, copy, refuse):
    file = copy / "checkpoints" / "000003" / "learner.keras"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)
    assert "000003 is damaged" in refuse(few_shot, *finished[2], f"--logdir={copy}")
    assert file.read_bytes() == bytes(content)


def test_diverging_run_stops_and_keeps_the_last_good_weights(data, fail, tmp_path):
    folder = tmp_path / "run"
    flags = [*WHOLE, *data, "--meta_batch=1", "--learning_rate=1e38", "--clip_norm=1e30"]
    message = fail("few_shot", *flags, f"--logdir={folder}")
    assert "NonFiniteLoss" in message
    assert "at update" in message
    # It broke in the first 20 episodes, before anything good was there to keep.
    assert not (folder / "checkpoints").exists() and not (folder / "best.keras").exists()


@pytest.fixture
def preset(finished, tmp_path):
    learner = keras.models.load_model(finished[0] / "best.keras", compile=False)
    learner.save_to_preset(tmp_path / "preset")
    return f"--preset={tmp_path / 'preset'}"


def test_preset_is_evaluated(finished, preset, run, tmp_path, capsys):
    run(tmp_path / "run", "--test_nquery=1", "--test_episodes=6", "--eval_only", preset)
    expected, results = read(finished[0]), read(tmp_path / "run")
    assert results["test_accuracy"] == expected["test_accuracy"]
    assert f"{expected['test_accuracy']:.2%}" in capsys.readouterr().out
    # The flags tell what the preset is, not what a new learner would be.
    assert results["flags"]["second_order"] is True
    assert results["flags"]["filters"] is None
    assert results["train_episodes"] == 0


def test_preset_goes_on_learning(preset, run, tmp_path):
    flags = [*TINY[1:], *SHORT, preset]
    run(tmp_path / "run", *flags)
    begin, end = (
        keras.models.load_model(file).network.layers[1].get_weights()[0]
        for file in (
            tmp_path / "preset" / "learner.keras",
            tmp_path / "run" / "checkpoints" / "000001" / "learner.keras",
        )
    )
    assert begin.shape == end.shape == (3, 3, 1, 4)
    assert 1e-4 < np.abs(end - begin).max() < 0.02  # two updates of a trained network
    # Evaluated again, it is the trained weights that count, not the preset's.
    before = read(tmp_path / "run")
    run(tmp_path / "run", *flags, "--eval_only")
    after = read(tmp_path / "run")
    assert after["train_episodes"] == before["train_episodes"] == 4
    assert after["test_accuracy"] == before["test_accuracy"]


def test_damaged_best_weights(finished, copy, refuse):
    flags = [*finished[2], f"--logdir={copy}"]
    results = (copy / "results.json").read_text()
    # As if the first validation had been the best, whose checkpoint is gone.
    file = copy / "checkpoints" / "000003" / "state.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "best_epoch": 1}))
    (copy / "best.keras").write_bytes(b"PK nonsense")
    assert "best.keras is damaged" in refuse(few_shot, *flags)
    (copy / "best.keras").unlink()
    assert "no trained weights" in refuse(few_shot, *flags, "--eval_only")
    assert (copy / "results.json").read_text() == results
