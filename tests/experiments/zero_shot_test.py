"""Tests of the zero-shot program through its command line."""

import json
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
TINY = [
    "--nway=3",
    "--train_nway=4",
    "--nquery=1",
    "--test_nquery=2",
    "--filters=4",
    "--units=8",
    "--episodes=8",
    "--validation_interval=4",
    "--validation_episodes=2",
    "--test_episodes=20",
]


# In a process of its own, for its flags have names that the few-shot program's have too.
REFUSED = """
import json
import sys

from absl import flags
from absl.testing import flagsaver

from experiments import program, training, zero_shot

training.set_up_runtime = lambda *arguments: None
for arguments in json.loads(sys.argv[1]):
    with flagsaver.flagsaver():
        try:
            flags.FLAGS(["zero_shot", *arguments])
            zero_shot.main()
        except (flags.Error, program.UsageError) as error:
            print(json.dumps(str(error)))
"""


def call(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "experiments.zero_shot", *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def finished(glyphs_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "finished"
    arguments = [*TINY, f"--data_dir={glyphs_dir}", f"--logdir={folder}"]
    done = call(*arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, done.stdout, arguments


def test_results(finished):
    folder, output, _ = finished
    results = json.loads((folder / "results.json").read_text())
    assert (results["experiment"], results["dataset"]) == ("zero_shot", "glyphs")
    assert (results["nway"], results["kshot"], results["train_episodes"]) == (3, 0, 8)
    assert results["test_episodes"] == 20
    assert 0 <= results["test_accuracy"] <= 1 and 0 < results["test_ci95"] < 1
    assert f"{results['test_accuracy']:.2%}" in output and "chance is 33%" in output
    picture = tf.io.decode_png(tf.io.read_file(str(folder / "episode.png")))
    assert picture.shape[0] > 100
    tags = {
        value.tag
        for file in (folder / "validation").glob("events*")
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
    }
    assert {"loss", "accuracy", "episode", "flags"} <= tags


def test_finished_run_is_only_evaluated_again(finished):
    folder, _, arguments = finished
    before = json.loads((folder / "results.json").read_text())
    done = call(*arguments, "--eval_only")
    assert done.returncode == 0 and "episodes/s" not in done.stdout
    after = json.loads((folder / "results.json").read_text())
    assert after["test_accuracy"] == before["test_accuracy"]


def test_refused(finished, glyphs_dir, tmp_path):
    refused = [
        ([*finished[2], "--units=9"], "units: 8 there, 9 now"),
        (["--test_nquery=20"], "at most 19"),
        ([f"--data_dir={glyphs_dir}", "--train_nway=9000"], "--train_nway=9000 is more than the"),
        (["--eval_only"], "no trained learner"),
    ]
    for number, (arguments, _) in enumerate(refused[1:]):
        arguments.append(f"--logdir={tmp_path / str(number)}")
    done = subprocess.run(
        [sys.executable, "-c", REFUSED, json.dumps([arguments for arguments, _ in refused])],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
    )
    messages = done.stdout.splitlines()
    for message, (_, words) in zip(messages, refused, strict=True):
        assert words in message
    assert not list(tmp_path.iterdir())
