"""Tests of the program through its command line."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from absl.testing import flagsaver

from experiments import few_shot, few_shot_data, program
from meta_keras import LSTMMetaLearner, networks

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
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


def command(*arguments):
    return [sys.executable, "-m", "experiments.few_shot", *map(str, arguments)]


def call(*flags):
    """Runs the program: the finished process, with its output."""
    return subprocess.run(
        command(*flags), cwd=REPOSITORY, capture_output=True, text=True, timeout=300
    )


def succeed(*flags):
    done = call(*flags)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def fail(*flags):
    """The error message of a run that must end as a user's mistake, without a traceback."""
    done = call(*flags)
    assert done.returncode in (1, 2), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    message = done.stderr[-1500:]
    assert message.count("\n") < 25
    return message


@pytest.fixture
def refuse(monkeypatch):
    """Function: the message with which the program refuses flags, without a new process."""
    monkeypatch.setattr(few_shot, "set_up_runtime", lambda: None)
    expected = (flags.Error, program.UsageError, *program.USER_ERRORS)

    def refused(*arguments):
        with flagsaver.flagsaver(), pytest.raises(expected) as error:
            flags.FLAGS(["few_shot", *map(str, arguments)])
            few_shot.main()
        return str(error.value)

    return refused


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
def finished(data, tmp_path_factory):
    """A run of three validations that was never interrupted: `(folder, output, flags)`."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    flags = [*TINY, *data, "--episodes=60"]
    return folder, succeed(*flags, f"--logdir={folder}"), flags


def test_results(finished, any_data):
    folder, output, _ = finished
    results = json.loads((folder / "results.json").read_text())
    assert results["experiment"] == "few_shot"
    assert (results["method"], results["dataset"], results["split"]) == (
        "lstm",
        any_data[0],
        "random",
    )
    assert (results["nway"], results["kshot"], results["seed"]) == (5, 1, 0)
    assert results["train_episodes"] == 60
    assert results["test_episodes"] == 6
    assert results["batch_norm"] == "transductive"
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
    folder = finished[0]
    tags = {"train": set(), "validation": set()}
    steps = set()
    for part in tags:
        for file in (folder / part).glob("events*"):
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


def test_killed_run_ends_with_the_same_weights(finished, tmp_path):
    folder, _, flags = finished
    flags = [*flags, f"--logdir={tmp_path / 'run'}"]
    process = subprocess.Popen(command(*flags), cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    checkpoints = tmp_path / "run" / "checkpoints"
    deadline = time.monotonic() + 200
    while not list(checkpoints.glob("00000[12]")):
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (checkpoints / "000003").exists()
    assert "Continuing after episode" in succeed(*flags)
    for resumed, expected in zip(weights(tmp_path / "run"), weights(folder), strict=True):
        np.testing.assert_array_equal(resumed, expected)
    accuracy = [
        json.loads((path / "results.json").read_text())["test_accuracy"]
        for path in (tmp_path / "run", folder)
    ]
    assert accuracy[0] == accuracy[1]


def test_finished_run_only_evaluates_again(finished, tmp_path):
    source, _, flags = finished
    folder = tmp_path / "copy"
    shutil.copytree(source, folder)
    before = json.loads((folder / "results.json").read_text())
    (folder / "results.json").unlink()
    output = succeed(*flags, f"--logdir={folder}")
    assert "episodes/s" not in output
    after = json.loads((folder / "results.json").read_text())
    assert after["test_accuracy"] == before["test_accuracy"]
    assert after["wall_seconds"] == before["wall_seconds"]
    # Another number of test episodes is not another run.
    succeed(*flags, f"--logdir={folder}", "--eval_only", "--test_episodes=8")
    assert json.loads((folder / "results.json").read_text())["test_episodes"] == 8


def test_jit_compile_really_compiles(data, tmp_path):
    flags = [*TINY, *data, "--episodes=20", f"--logdir={tmp_path / 'run'}", "--jit_compile"]
    done = call(*flags)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Test accuracy" in done.stdout
    # Keras only warns when it goes on without XLA; XLA says so when it compiles.
    assert "Proceeding with" not in done.stderr


def test_other_flags_on_the_same_folder_are_refused(finished, refuse):
    folder, _, flags = finished
    saved = (folder / "flags.json").read_text()
    message = refuse(*flags, f"--logdir={folder}", "--learning_rate=0.5", "--seed=7")
    assert "learning_rate: 0.002 there, 0.5 now" in message
    assert "seed: 0 there, 7 now" in message
    assert (folder / "flags.json").read_text() == saved
    assert "--noresume" in refuse(*flags, f"--logdir={folder}", "--noresume")


def test_damaged_checkpoint(finished, refuse, tmp_path):
    source, _, flags = finished
    folder = tmp_path / "copy"
    shutil.copytree(source, folder)
    file = folder / "checkpoints" / "000003" / "learner.keras"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)
    message = refuse(*flags, f"--logdir={folder}")
    assert "000003 is damaged" in message
    assert file.read_bytes() == bytes(content)


def test_diverging_run_stops_and_keeps_the_last_good_weights(finished, data, tmp_path):
    folder = tmp_path / "run"
    flags = [*TINY, *data, "--episodes=60", "--learning_rate=1e38", "--clip_norm=1e30"]
    message = fail(*flags, f"--logdir={folder}")
    assert "NonFiniteLoss" in message
    assert "at update" in message
    # It broke in the first 20 episodes, before anything good was there to keep.
    assert not (folder / "checkpoints").exists() and not (folder / "best.keras").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--nway=1"], "--nway=1"),
        (["--kshot=0"], "--kshot=0"),
        (["--seed=5000000000"], "--seed=5000000000"),
        (["--inner_batch_size=6"], "--inner_batch_size must be at most"),
        (["--episodes=0"], "--episodes=0"),
        (["--kshot=10", "--nquery=11"], "at most 20"),
        (["--split=vinyals"], "--split_dir"),
        (["--method=magic"], "magic"),
        (["--learning_rate=0"], "must be positive"),
        (["--episodes=3", "--meta_batch=2"], "multiple of --meta_batch"),
        (["--episodes=3000", "--validation_interval=2000"], "multiple of --validation_interval"),
    ],
)
def test_bad_flags(refuse, flags, words):
    assert words in refuse(*flags)


def test_more_ways_than_classes(refuse, data, tmp_path):
    message = refuse(*data, "--nway=3000", f"--logdir={tmp_path / 'run'}")
    assert "--nway=3000" in message
    assert re.search(r"more than the \d+ classes of the \w+ part", message)


def test_foreign_folder(refuse, data, tmp_path):
    (tmp_path / "thesis.txt").write_text("do not lose me")
    message = refuse(*data, f"--logdir={tmp_path}")
    assert "thesis.txt" in message
    assert sorted(os.listdir(tmp_path)) == ["thesis.txt"]


def test_folder_that_cannot_be_made(refuse, data, tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refuse(*data, f"--logdir={tmp_path / 'file' / 'run'}")


def test_unknown_preset(refuse, data):
    message = refuse(*data, "--eval_only", "--preset=no_such")
    assert "no_such" in message
    assert "built-in" in message


@pytest.fixture
def preset(finished, tmp_path):
    learner = keras.models.load_model(finished[0] / "best.keras", compile=False)
    learner.save_to_preset(tmp_path / "preset")
    return f"--preset={tmp_path / 'preset'}"


def test_preset_is_evaluated(finished, preset, data, tmp_path):
    folder = finished[0]
    sizes = ["--test_nquery=1", "--test_episodes=6"]
    output = succeed(*data, *sizes, "--eval_only", preset, f"--logdir={tmp_path / 'run'}")
    expected = json.loads((folder / "results.json").read_text())
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["test_accuracy"] == expected["test_accuracy"]
    assert f"{expected['test_accuracy']:.2%}" in output
    # The flags tell what the preset is, not what a new learner would be.
    assert results["flags"]["second_order"] is True
    assert results["flags"]["filters"] is None
    assert results["train_episodes"] == 0


def test_preset_goes_on_learning(preset, data, tmp_path):
    flags = [*TINY[1:], *data, preset, "--episodes=20", f"--logdir={tmp_path / 'run'}"]
    succeed(*flags)
    start, end = (
        keras.models.load_model(file).network.layers[1].get_weights()[0]
        for file in (
            tmp_path / "preset" / "learner.keras",
            tmp_path / "run" / "checkpoints" / "000001" / "learner.keras",
        )
    )
    assert start.shape == end.shape == (3, 3, 1, 4)
    assert 1e-4 < np.abs(end - start).max() < 0.1  # ten updates of a trained network
    # Evaluated again, it is the trained weights that count, not the preset's.
    file = tmp_path / "run" / "results.json"
    before = json.loads(file.read_text())
    succeed(*flags, "--eval_only")
    after = json.loads(file.read_text())
    assert after["train_episodes"] == before["train_episodes"] == 20
    assert after["test_accuracy"] == before["test_accuracy"]


def test_flags_that_a_preset_brings_itself_are_refused(preset, refuse, data):
    assert "--inner_steps=3" in refuse(*data, "--eval_only", preset, "--inner_steps=3")
    assert "not --nway=7" in refuse(*data, "--eval_only", preset, "--nway=7")


def test_preset_for_other_pictures(refuse, data, tmp_path):
    learner = LSTMMetaLearner(networks.conv4(5, (32, 32, 3), filters=2))
    learner.save_to_preset(tmp_path / "colour")
    message = refuse(*data, "--eval_only", f"--preset={tmp_path / 'colour'}")
    assert "(32, 32, 3)" in message and "(28, 28, 1)" in message


def test_evaluating_nothing(refuse, data, tmp_path):
    assert "no trained weights" in refuse(*data, "--eval_only", f"--logdir={tmp_path / 'run'}")
    assert not (tmp_path / "run").exists()


def test_damaged_best_weights(finished, refuse, tmp_path):
    source, _, flags = finished
    folder = tmp_path / "copy"
    shutil.copytree(source, folder)
    results = (folder / "results.json").read_text()
    (folder / "best.keras").write_bytes(b"PK nonsense")
    assert "best.keras is damaged" in refuse(*flags, f"--logdir={folder}")
    (folder / "best.keras").unlink()
    assert "no trained weights" in refuse(*flags, f"--logdir={folder}", "--eval_only")
    assert (folder / "results.json").read_text() == results


def test_damaged_settings(finished, refuse, tmp_path):
    source, _, flags = finished
    folder = tmp_path / "copy"
    shutil.copytree(source, folder)
    for content in ("[]", "{", "3"):
        (folder / "flags.json").write_text(content)
        assert "is damaged" in refuse(*flags, f"--logdir={folder}")


def test_a_run_that_came_to_nothing_does_not_block_its_folder(refuse, data, tmp_path):
    folder = program.open_logdir(tmp_path / "run", {"inner_steps": 1}, resume=True)
    assert program.open_logdir(folder, {"inner_steps": 2}, resume=True) == folder
    assert json.loads((folder / "flags.json").read_text()) == {"inner_steps": 2}


def test_auto_takes_glyphs_without_a_network_and_says_why(monkeypatch, glyphs_dir, caplog):
    def no_network(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    caplog.set_level("WARNING", "absl")
    with flagsaver.flagsaver():
        flags.FLAGS(["few_shot", f"--data_dir={glyphs_dir}"])
        drawings, dataset, reason = few_shot_data.load_data()
    assert dataset == "glyphs"
    assert "no route to host" in reason
    assert "glyphs" in caplog.text and "no route to host" in caplog.text
    assert drawings["train"].shape[1:] == (20, 28, 28)


def test_auto_goes_on_with_the_data_it_began_with(monkeypatch, glyphs_dir):
    monkeypatch.setattr(few_shot_data.data, "choose_dataset", lambda *args: ("omniglot", ""))
    with flagsaver.flagsaver():
        flags.FLAGS(["few_shot", f"--data_dir={glyphs_dir}"])
        assert few_shot_data.load_data("glyphs")[1] == "glyphs"


def test_mixed_precision_under_a_strategy(data, tmp_path):
    flags = [*TINY, *data, "--mixed_precision", "--strategy=mirrored", "--episodes=20"]
    succeed(*flags, f"--logdir={tmp_path / 'run'}")
    learner = keras.models.load_model(tmp_path / "run" / "best.keras", compile=False)
    assert learner.network.layers[1].compute_dtype == "bfloat16"
    assert learner.network.layers[1].kernel.dtype == "float32"


def test_omniglot_is_never_substituted(refuse, tmp_path):
    flags = ["--dataset=omniglot", f"--data_dir={tmp_path}", f"--manual_dir={tmp_path}"]
    message = refuse(*flags, f"--logdir={tmp_path / 'run'}")
    assert "lacks images_" in message
    assert "images_background.zip" in message


def test_manual_files_are_verified(refuse, tmp_path):
    for name in ("background", "background_small1", "background_small2", "evaluation"):
        (tmp_path / f"images_{name}.zip").write_bytes(b"not the official file")
    flags = ["--dataset=omniglot", f"--data_dir={tmp_path / 'data'}", f"--manual_dir={tmp_path}"]
    assert "is not the official file" in refuse(*flags, f"--logdir={tmp_path / 'run'}")


def test_half_prepared_data(refuse, omniglot_dir, tmp_path):
    source = pathlib.Path(omniglot_dir) / "omniglot" / "3.0.0"
    target = tmp_path / "omniglot" / "3.0.0"
    target.mkdir(parents=True)
    for file in source.iterdir():
        if "omniglot-test" not in file.name and file.suffix != ".npz":
            shutil.copyfile(file, target / file.name)
    flags = ["--dataset=omniglot", f"--data_dir={tmp_path}", f"--logdir={tmp_path / 'run'}"]
    message = refuse(*flags)
    assert "incomplete" in message
    assert "omniglot-test" in message


def test_a_mistake_ends_with_a_message_and_no_traceback(tmp_path):
    assert "--nway=1" in fail("--nway=1")
    assert "surplus" in fail("surplus", f"--logdir={tmp_path / 'run'}")
    assert not (tmp_path / "run").exists()
