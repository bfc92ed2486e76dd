"""Tests of few-shot experiments on a folder of the user's own pictures."""

import re

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from PIL import Image

from experiments import few_shot_data, few_shot_learner, program
from meta_keras import data
from meta_keras.data import glyphs

TINY = [
    "--dataset=folder",
    "--nway=3",
    "--nquery=1",
    "--test_nquery=2",
    "--filters=2",
    "--episodes=4",
    "--validation_interval=2",
    "--validation_episodes=2",
    "--test_episodes=2",
]


@pytest.fixture
def classes(tmp_path):
    """Fifteen classes of three to five pictures."""
    strokes, counts = glyphs.character_programs(0, 15)
    for character in range(15):
        folder = tmp_path / "data" / f"class{character}"
        folder.mkdir(parents=True)
        for drawer in range(3 + character % 3):
            drawing = glyphs.draw(strokes[character, : counts[character]], 0, character, drawer)
            Image.fromarray(drawing).save(folder / f"{drawer}.png")
    return tmp_path / "data"


def load(*arguments):
    with flagsaver.flagsaver():
        flags.FLAGS(["few_shot", *TINY, *map(str, arguments)])
        return few_shot_data.load_data()


def test_drawings(classes):
    drawings, dataset, reason = load(f"--data_dir={classes}")
    assert dataset == "folder" and "in training only" in reason
    assert {part: drawings[part].shape for part in drawings} == {
        "train": (36, 5, 28, 28),
        "validation": (3, 5, 28, 28),
        "test": (3, 5, 28, 28),
    }
    sizes = [drawings[part].any(axis=(2, 3)).sum(axis=1) for part in drawings]
    assert set(np.concatenate(sizes).tolist()) == {3, 4, 5}
    # Turned in training; what is tested is the folder's classes as they are, none of them trained.
    train = drawings["train"].reshape(9, 4, 5, 28, 28)
    for degrees in range(4):
        np.testing.assert_array_equal(
            train[:, degrees], np.rot90(train[:, 0], degrees, axes=(2, 3))
        )
    upright = data.load_folder(classes).images
    parts = [*train[:, 0], *drawings["validation"], *drawings["test"]]
    assert sorted(map(bytes, parts)) == sorted(map(bytes, upright))
    drawings, _, reason = load(f"--data_dir={classes}", "--norotations")
    assert [len(drawings[part]) for part in drawings] == [9, 3, 3] and reason == "asked for"


def test_classes_too_small_for_the_episodes_are_left_out(classes, caplog):
    drawings, _, _ = load(f"--data_dir={classes}", "--test_nquery=3", "--nway=2")
    assert [len(drawings[part]) for part in drawings] == [4 * 6, 2, 2]
    assert (
        "class0: it has 3 pictures, 4 are needed (= --kshot=1 + --test_nquery=3; lower "
        "--test_nquery)"
    ) in caplog.text


def test_methods_that_train_with_many_classes_take_all_there_are(classes, caplog):
    arguments = ["--method=prototypical", f"--data_dir={classes}"]
    with flagsaver.flagsaver():
        flags.FLAGS(["few_shot", *TINY, *arguments])
        few_shot_learner.apply_method()
        drawings, _, _ = few_shot_data.load_data()
        x, _ = next(iter(few_shot_data.make_episodes(drawings, "train", 1)))
        assert program.module_flags("experiments.few_shot")["train_nway"] == 36
    assert x["support_images"].shape == (1, 36, 28, 28, 1)
    assert "all 36 training classes of folder, not 60" in caplog.text
    with pytest.raises(program.UsageError, match="--train_nway=37 is more than the 36 classes"):
        load(*arguments, "--train_nway=37")


def test_trains_tests_and_notices_other_pictures(run, classes, tmp_path):
    arguments = [*TINY, f"--data_dir={classes}"]
    results = run(tmp_path / "run", *arguments)
    assert (results["dataset"], results["train_episodes"]) == ("folder", 4)
    assert results["rotations"] and "in training only" in results["dataset_reason"]
    Image.fromarray(np.uint8(255 - 255 * np.eye(40))).save(classes / "class4" / "0.png")
    with pytest.raises(program.UsageError, match="pictures: '"):
        run(tmp_path / "run", *arguments)


def test_bad_flags(classes):
    for arguments, words in (
        ([], "needs --data_dir"),
        ([f"--data_dir={classes}", "--split=lake"], "--split=random"),
    ):
        with pytest.raises(flags.IllegalFlagValueError, match=words):
            load(*arguments)
    with pytest.raises(program.UsageError, match=r"--nway=4 is more than the 3 classes.*1/5 of"):
        load(f"--data_dir={classes}", "--nway=4")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--test_nquery=7"], "8 pictures it needs (= --kshot=1 + --test_nquery=7; lower --test_"),
        (["--nquery=6"], "7 pictures it needs (= --kshot=1 + --nquery=6; lower --nquery)"),
        (["--train_kshot=5"], "6 pictures it needs (= --train_kshot=5 + --nquery=1; lower --train"),
    ],
)
def test_what_the_number_of_pictures_is_made_of(classes, arguments, words):
    with pytest.raises(program.USER_ERRORS, match=re.escape(words)):
        load(f"--data_dir={classes}", *arguments)
