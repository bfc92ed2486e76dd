"""Tests of photographs from TFDS and from class folders."""

import itertools

import numpy as np
import pytest
import tensorflow_datasets as tfds

from meta_keras.data import (
    DatasetError,
    load_photograph_folder,
    load_photographs,
    split_named,
)
from meta_keras.errors import SettingError
from tests.own_photographs import save


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("META_KERAS_CACHE_DIR", str(tmp_path / "cache"))


class Things(tfds.core.GeneratorBasedBuilder):
    """Grey pictures 8x8 in two splits; their grey is ten times the label, and one more for each."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "picture": tfds.features.Image(shape=(8, 8, 1)),
            "kind": tfds.features.ClassLabel(names=["cup", "old shoe", "pen"]),
            "size": np.int64,
        }
        features = tfds.features.FeaturesDict(features)
        return tfds.core.DatasetInfo(
            builder=self, features=features, supervised_keys=("picture", "kind")
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, 2), "test": self._generate_examples(2, 5)}

    def _generate_examples(self, first, last):
        for label in range(3):
            for number in range(first, last):
                grey = np.full((8, 8, 1), 10 * label + number, np.uint8)
                yield f"{label}-{number}", {"picture": grey, "kind": label, "size": 8}


@pytest.fixture
def things(tmp_path):
    """A TFDS folder with the data set `things`."""
    Things(data_dir=tmp_path / "tfds").download_and_prepare()
    return str(tmp_path / "tfds")


def test_any_data_set_of_tfds(things):
    for _ in range(2):  # decoded, and from the cache
        classes = load_photographs("tfds:things", things, size=16)
        assert classes.images.shape == (15, 16, 16, 3) and isinstance(classes.images, np.memmap)
        assert classes.names.tolist() == ["cup", "old shoe", "pen"]
        for label, places in enumerate(classes.places):
            found = classes.images[places]
            assert (found == found[:, :1, :1, :1]).all()  # three equal channels, resized
            assert sorted(found[:, 0, 0, 0]) == [10 * label + number for number in range(5)]


def test_no_such_data_set(tmp_path, things):
    with pytest.raises(SettingError, match=r"dataset=tfds:nothing: TFDS has no such data set"):
        load_photographs("tfds:nothing", tmp_path)
    with pytest.raises(SettingError, match=r"dataset=pets must be one of cifar_fs"):
        load_photographs("pets", tmp_path)


def test_a_data_set_of_another_kind(tmp_path):
    class Pairs(Things):
        def _info(self):
            features = {"one": tfds.features.Image(), "other": tfds.features.Image()}
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            picture = np.zeros((8, 8, 3), np.uint8)
            return {"train": [(0, {"one": picture, "other": picture})]}

    Pairs(data_dir=tmp_path).download_and_prepare()
    with pytest.raises(SettingError, match=r"dataset=tfds:pairs must be .* it has one, other"):
        load_photographs("tfds:pairs", tmp_path)


def test_damaged_files_are_named(things, tmp_path):
    (record,) = (tmp_path / "tfds" / "things" / "1.0.0").glob("*test.tfrecord*")
    record.write_bytes(record.read_bytes()[:-40])
    with pytest.raises(DatasetError, match=r"things in .* is damaged"):
        load_photographs("tfds:things", things)


def test_cifar_100(omniglot_dir, monkeypatch):
    monkeypatch.delenv("META_KERAS_CACHE_DIR")  # Decoding takes seconds.
    try:
        builder = tfds.builder("cifar100:3.0.2", data_dir=omniglot_dir)
        assert builder.is_prepared()
    except Exception:
        pytest.skip("no prepared CIFAR-100 beside Omniglot")
    classes = load_photographs("cifar_fs", omniglot_dir)
    assert classes.images.shape == (60000, 32, 32, 3) and set(classes.counts) == {600}
    name = builder.info.features["label"].int2str
    for number, example in enumerate(builder.as_dataset(split="test").take(3)):
        picture = example["image"].numpy()
        (places,) = classes.places[classes.names == name(int(example["label"]))]
        assert (classes.images[places] == picture).all(axis=(1, 2, 3)).sum() == 1, number
    for dataset, counts in (("cifar_fs", [64, 16, 20]), ("fc100", [60, 20, 20])):
        split = split_named(dataset, classes.names, "published")
        assert [len(part) for part in split.values()] == counts
        assert sorted(itertools.chain(*split.values())) == list(range(100))
    test = split_named("cifar_fs", classes.names, "published")["test"]
    assert {"baby", "whale", "worm"} <= set(classes.names[test])


NAMES = np.array([f"class {number}" for number in range(25)])


def test_random_split():
    split = split_named("tfds:things", NAMES)
    assert {part: len(split[part]) for part in split} == {"train": 16, "validation": 4, "test": 5}
    assert sorted(itertools.chain(*split.values())) == list(range(25))
    assert split == split_named("tfds:others", NAMES) and split["train"] != list(range(16))
    assert [len(part) for part in split_named("folder", NAMES).values()] == [15, 5, 5]


@pytest.fixture
def lists(tmp_path):
    """Function: writes lists of classes; their folder."""

    def write(train="class 3\nclass 1\n", val="class 7\n\n", test="class 20"):
        for stem, text in (("train", train), ("val", val), ("test", test)):
            (tmp_path / f"{stem}.txt").write_text(text)
        return tmp_path

    return write


def test_lists(lists):
    assert split_named("tfds:things", NAMES, "lists", lists()) == {
        "train": [1, 3], "validation": [7], "test": [20],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"val": "class 99"}, r"val.txt: 'class 99' is not a class of tfds:things"),
        ({"test": "class 1"}, r"test.txt: class 1 is in 'train' already"),
        ({"val": "class 7\nclass 7"}, r"'class 7' is listed twice"),
        ({"val": "\n"}, r"val.txt lists no class"),
    ],
)
def test_bad_lists(lists, change, words):
    with pytest.raises(SettingError, match=words):
        split_named("tfds:things", NAMES, "lists", lists(**change))


def test_published_lists_fit_no_other_data():
    with pytest.raises(SettingError, match="is not a class of cifar_fs"):
        split_named("cifar_fs", NAMES, "published")
    with pytest.raises(SettingError, match="split must be random, published or lists, got 'lake'"):
        split_named("cifar_fs", NAMES, "lake")


def test_folder(tmp_path, caplog):
    folder = tmp_path / "data"
    for label, (name, count) in enumerate({"cat": 3, "dog": 5, "few": 1}.items()):
        for number in range(count):
            save(folder / name / f"{number}.png", (40 * label, number, 200))
    (folder / "cat" / "damaged.png").write_text("no picture")
    for _ in range(2):  # decoded, and from the cache
        caplog.clear()
        classes = load_photograph_folder(folder, 16, at_least=2, because="= kshot=1 + nquery=1")
        assert classes.names.tolist() == ["cat", "dog"] and classes.counts.tolist() == [3, 5]
        for label, places in enumerate(classes.places):
            found = classes.images[places[places >= 0]]
            assert (found[..., 0] == 40 * label).all() and (found[..., 2] == 200).all()
            assert sorted(found[:, 0, 0, 1]) == list(range(len(found)))
        assert "Skipped" in caplog.text and "damaged.png" in caplog.text
        assert "class few: it has 1 pictures, 2 are needed (= kshot=1 + nquery=1)" in caplog.text
    save(folder / "cat" / "0.png", (1, 99, 3))  # another picture in the same place
    classes = load_photograph_folder(folder, 16, at_least=2)
    assert 99 in classes.images[classes.places[0], 0, 0, 1]
    with pytest.raises(
        DatasetError, match="no class with the 9 pictures it needs: the largest, 'd"
    ):
        load_photograph_folder(folder, 16, at_least=9)
