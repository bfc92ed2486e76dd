"""Tests of few-shot recipes on a folder of the user's own pictures."""

import re

import numpy as np
import pytest
from PIL import Image

from meta_keras import data, recipes
from meta_keras.data import glyphs
from meta_keras.errors import DatasetError, SettingError

TINY = {
    "dataset": "folder",
    "nway": 3,
    "nquery": 1,
    "test_nquery": 2,
    "filters": 2,
    "episodes": 4,
    "validation_interval": 2,
    "validation_episodes": 2,
    "test_episodes": 2,
}


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


@pytest.fixture
def make(classes):
    """Function: a recipe on these classes."""

    def make(name="lstm", **settings):
        return recipes.recipe(name, **{**TINY, "data_dir": str(classes), **settings})

    return make


def test_lists_of_classes(make, classes, tmp_path):
    """They are heeded where they are given, for characters too."""
    names = sorted(folder.name for folder in classes.iterdir())
    for stem, part in (("train", names[:7]), ("val", names[7:11]), ("test", names[11:])):
        (tmp_path / f"{stem}.txt").write_text("\n".join(part))
    recipe = make(split_dir=str(tmp_path), rotations=False)
    assert recipe.split == "lists"
    assert [len(part) for part in recipe.data.parts.values()] == [7, 4, 4]
    with pytest.raises(SettingError, match="cannot be read"):
        _ = make(split_dir="nowhere").data
    with pytest.raises(SettingError, match="split_dir=x does not go with split=random"):
        make(split_dir="x", split="random")


def test_photographs_taken_for_characters_are_warned_of(make, classes, caplog):
    _ = make().data
    assert "pictures=photographs" not in caplog.text
    y, x = np.mgrid[-40:40, -40:40]
    spot = np.uint8(255 - 200 * np.exp(-(x**2 + y**2) / 32))  # half-tones and nothing else
    for file in classes.rglob("*.png"):
        Image.fromarray(spot).save(file)
    _ = make().data
    assert "looks like no characters" in caplog.text and "pictures=photographs" in caplog.text


def test_drawings(make, classes):
    parts, dataset, reason, _, _ = make().data
    assert dataset == "folder" and "in training only" in reason
    assert {part: parts[part].shape for part in parts} == {
        "train": (36, 5, 28, 28),
        "validation": (3, 5, 28, 28),
        "test": (3, 5, 28, 28),
    }
    sizes = [parts[part].any(axis=(2, 3)).sum(axis=1) for part in parts]
    assert set(np.concatenate(sizes).tolist()) == {3, 4, 5}
    # Turned in training; what is tested is the folder's classes as they are, none of them trained.
    train = parts["train"].reshape(9, 4, 5, 28, 28)
    for degrees in range(4):
        np.testing.assert_array_equal(
            train[:, degrees], np.rot90(train[:, 0], degrees, axes=(2, 3))
        )
    upright = data.load_folder(classes).images
    drawn = [*train[:, 0], *parts["validation"], *parts["test"]]
    assert sorted(map(bytes, drawn)) == sorted(map(bytes, upright))
    parts, _, reason, _, _ = make(rotations=False).data
    assert [len(parts[part]) for part in parts] == [9, 3, 3] and reason == "asked for"


def test_classes_too_small_for_the_episodes_are_left_out(make, caplog):
    parts = make(test_nquery=3, nway=2).data.parts
    assert [len(parts[part]) for part in parts] == [4 * 6, 2, 2]
    assert (
        "class0: it has 3 pictures, 4 are needed (= kshot=1 + test_nquery=3; lower `test_nquery`)"
    ) in caplog.text


def test_methods_that_train_with_many_classes_take_all_there_are(make, caplog):
    recipe = make("prototypical")
    x, _ = next(iter(recipe.episodes("train")))
    assert recipe.values()["train_nway"] == 36
    assert x["support_images"].shape == (1, 36, 28, 28, 1)
    assert "all 36 training classes of folder, not 60" in caplog.text
    with pytest.raises(SettingError, match="train_nway=37 is more than the 36 classes"):
        make("prototypical", train_nway=37).data  # noqa: B018


def test_trains_tests_and_notices_other_pictures(make, classes, plain_runtime, eagerly, tmp_path):
    results = make().fit(tmp_path / "run", verbose=False)
    assert (results["dataset"], results["train_episodes"]) == ("folder", 4)
    assert results["rotations"] and "in training only" in results["dataset_reason"]
    Image.fromarray(np.uint8(255 - 255 * np.eye(40))).save(classes / "class4" / "0.png")
    with pytest.raises(SettingError, match="pictures: '"):
        make().fit(tmp_path / "run", verbose=False)


def test_bad_settings(make):
    with pytest.raises(SettingError, match="needs `data_dir`"):
        make(data_dir=None)
    with pytest.raises(SettingError, match="must be random or lists"):
        make(split="lake")
    with pytest.raises(SettingError, match=r"nway=4 is more than the 3 classes.*1/5 of") as error:
        make(nway=4).data  # noqa: B018
    assert "has 15 classes with enough pictures (= kshot=1 + test_nquery=2" in str(error.value)
    assert str(error.value).endswith("lower `nway`, or have about 20 of them.")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"test_nquery": 7}, "8 pictures it needs (= kshot=1 + test_nquery=7; lower `test_nquery`"),
        ({"nquery": 6}, "7 pictures it needs (= kshot=1 + nquery=6; lower `nquery`)"),
        ({"train_kshot": 5}, "6 pictures it needs (= train_kshot=5 + nquery=1; lower `train_ks"),
    ],
)
def test_what_the_number_of_pictures_is_made_of(make, settings, words):
    with pytest.raises(DatasetError, match=re.escape(words)):
        make(**settings).data  # noqa: B018
