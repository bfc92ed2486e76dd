"""Tests of the zero-shot program: a run through its command line, and what comes after it."""

import json

import pytest
import tensorflow as tf

from experiments import program, zero_shot

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


@pytest.fixture(scope="module")
def finished(glyphs_dir, succeed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "finished"
    arguments = [*TINY, f"--data_dir={glyphs_dir}", f"--logdir={folder}"]
    return folder, succeed("zero_shot", *arguments), arguments


def test_results(finished):
    folder, output, _ = finished
    results = json.loads((folder / "results.json").read_text())
    assert (results["experiment"], results["dataset"]) == ("zero_shot", "glyphs")
    assert (results["nway"], results["kshot"], results["train_episodes"]) == (3, 0, 8)
    assert (results["method"], results["split"]) == ("prototypical", "alphabets")
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


def test_finished_run_is_only_evaluated_again(finished, plain_runtime, eagerly, capsys):
    folder, _, arguments = finished
    before = json.loads((folder / "results.json").read_text())
    zero_shot.main(program.parse(zero_shot.define_flags, [*arguments, "--eval_only"]))
    output = capsys.readouterr().out
    assert f"{before['test_accuracy']:.2%}" in output and "episodes/s" not in output
    after = json.loads((folder / "results.json").read_text())
    assert after["test_accuracy"] == before["test_accuracy"]


def test_refused(finished, refuse, glyphs_dir, tmp_path):
    assert "units: 8 there, 9 now" in refuse(zero_shot, *finished[2], "--units=9")
    assert "at most 19" in refuse(zero_shot, "--test_nquery=20")
    data = [f"--data_dir={glyphs_dir}", f"--logdir={tmp_path / 'run'}"]
    message = refuse(zero_shot, *data, "--train_nway=9000")
    assert "--train_nway=9000 is more than the" in message
    assert "no trained weights" in refuse(zero_shot, *data, "--eval_only")
    assert not list(tmp_path.iterdir())
