"""Tests of what the few-shot program refuses, and in which words."""

import pathlib
import re
import shutil

import pytest

from experiments import few_shot
from meta_keras import LSTMMetaLearner, networks, recipes


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
        (["--clip_norm=inf"], "--clip_norm=inf"),
        (["--episodes=3", "--meta_batch=2"], "multiple of --meta_batch"),
        (["--episodes=3000", "--validation_interval=2000"], "multiple of --validation_interval"),
        (["--kshot=6"], "--kshot plus --test_nquery must be at most 20"),
        (["--pools=3", "--downsample=stride"], "--pools=3 does not go with --downsample=stride"),
        (["--method=matching", "--temperature=0"], "temperature"),
        (["--method=siamese", "--anil"], "--anil does not apply to --method=siamese"),
        (["--method=maml", "--temperature=0.1"], "--temperature=0.1 does not apply to --method=ma"),
        (
            ["--method=maml", "--second_order"],
            "--second_order does not apply to --m",
        ),
        (["--inner_learning_rate=1"], "--inner_learning_rate=1.0 does not apply to --method=lstm"),
    ],
)
def test_bad_flags(refuse, flags, words):
    assert words in refuse(few_shot, *flags)


@pytest.fixture
def data(any_data):
    dataset, folder = any_data
    return [f"--dataset={dataset}", f"--data_dir={folder}"]


def test_more_ways_than_classes(refuse, data, tmp_path):
    message = refuse(few_shot, *data, "--nway=3000", f"--logdir={tmp_path / 'run'}")
    assert "--nway=3000" in message
    assert re.search(r"more than the \d+ classes of the \w+ part", message)
    assert not (tmp_path / "run").exists()


def test_foreign_folder(refuse, data, tmp_path):
    (tmp_path / "thesis.txt").write_text("do not lose me")
    message = refuse(few_shot, *data, f"--logdir={tmp_path}")
    assert f"--logdir={tmp_path}" in message and "thesis.txt" in message


def test_presets(refuse, data, tmp_path):
    message = refuse(few_shot, *data, "--eval_only", "--preset=no_such")
    assert "no_such" in message and "built-in" in message
    recipes.recipe("lstm", filters=2).learner().save_to_preset(tmp_path / "lstm")
    preset = f"--preset={tmp_path / 'lstm'}"
    flags = [*data, "--eval_only", preset]
    message = refuse(few_shot, *flags, "--inner_steps=3")
    assert f"--inner_steps=3 cannot be given with {preset}" in message
    assert "not --nway=7" in refuse(few_shot, *flags, "--nway=7")
    message = refuse(few_shot, *flags, "--method=fomaml")
    assert f"{preset} is of --method=lstm, not --method=fomaml" in message
    learner = LSTMMetaLearner(networks.conv4(5, (32, 32, 3), filters=2))
    learner.save_to_preset(tmp_path / "colour")
    message = refuse(few_shot, *data, "--eval_only", f"--preset={tmp_path / 'colour'}")
    assert "(32, 32, 3)" in message and "(28, 28, 1)" in message
    assert "of --method=coordinatewise_lstm" in refuse(few_shot, *data, "--preset=quadratic")


def test_evaluating_nothing(refuse, data, tmp_path):
    flags = [*data, "--eval_only", f"--logdir={tmp_path / 'run'}"]
    assert "no trained weights" in refuse(few_shot, *flags)
    assert not (tmp_path / "run").exists()


def test_omniglot_is_never_substituted(refuse, tmp_path):
    flags = ["--dataset=omniglot", f"--data_dir={tmp_path}", f"--manual_dir={tmp_path}"]
    message = refuse(few_shot, *flags, f"--logdir={tmp_path / 'run'}")
    assert "lacks images_" in message
    assert "images_background.zip" in message
    assert f"--manual_dir={tmp_path}" in message


def test_manual_files_are_verified(refuse, tmp_path):
    for name in ("background", "background_small1", "background_small2", "evaluation"):
        (tmp_path / f"images_{name}.zip").write_bytes(b"not the official file")
    flags = ["--dataset=omniglot", f"--data_dir={tmp_path / 'data'}", f"--manual_dir={tmp_path}"]
    message = refuse(few_shot, *flags, f"--logdir={tmp_path / 'run'}")
    assert "is not the official file" in message


def test_half_prepared_data(refuse, omniglot_dir, tmp_path):
    source = pathlib.Path(omniglot_dir) / "omniglot" / "3.0.0"
    target = tmp_path / "omniglot" / "3.0.0"
    target.mkdir(parents=True)
    for file in source.iterdir():
        if "omniglot-test" not in file.name:
            shutil.copyfile(file, target / file.name)
    flags = ["--dataset=omniglot", f"--data_dir={tmp_path}", f"--logdir={tmp_path / 'run'}"]
    message = refuse(few_shot, *flags)
    assert "incomplete" in message
    assert "omniglot-test" in message


def test_arguments_that_are_no_flags(fail, tmp_path):
    """Through the command line; flags that are refused end other programs in the same way."""
    assert "surplus" in fail("few_shot", "surplus", f"--logdir={tmp_path / 'run'}")
    assert not (tmp_path / "run").exists()
