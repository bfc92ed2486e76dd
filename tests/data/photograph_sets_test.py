"""Tests of photographs from TFDS, from class folders, and of miniImageNet's two layouts."""

import csv
import functools
import itertools

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from meta_keras.data import (
    DatasetError,
    load_photograph_folder,
    load_photographs,
    mini_imagenet_builder,
    split_named,
)
from meta_keras.errors import SettingError


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


def save(file, colour, size=(40, 30), mode="RGB", **options):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).convert(mode).save(file, **options)


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


def few(part):
    return mini_imagenet_builder.class_lists()[part][:2]


def csv_layout(folder):
    for part, stem in mini_imagenet_builder.STEMS.items():
        rows = [(f"{name}{n}.jpg", name) for name in few(part) for n in range(2)]
        folder.mkdir(exist_ok=True)
        with open(folder / f"{stem}.csv", "w", newline="") as file:
            csv.writer(file).writerows([("filename", "label"), *rows])
        for file, name in rows:
            save(folder / "images" / file, (int(name[-3:]) % 256, 90, 0), quality=95)


def part_folders(folder):
    for part, stem in mini_imagenet_builder.STEMS.items():
        for name in few(part):
            for number in range(2):
                save(folder / stem / name / f"{number}.png", (int(name[-3:]) % 256, 90, 0))


def class_folders(folder):
    for part in mini_imagenet_builder.STEMS:
        for name in few(part):
            for number in range(2):
                save(folder / name / f"{number}.jpg", (int(name[-3:]) % 256, 90, 0), mode="L")


@pytest.mark.parametrize("layout", [csv_layout, part_folders, class_folders])
def test_mini_imagenet(tmp_path, layout):
    layout(tmp_path / "files")
    classes = load_photographs("mini_imagenet", tmp_path / "tfds", tmp_path / "files", 84)
    split = split_named("mini_imagenet", classes.names, "published")
    assert [len(part) for part in split.values()] == [64, 16, 20]
    for part, numbers in split.items():
        here = [n for n in numbers if classes.counts[n]]
        assert classes.names[here].tolist() == sorted(few(part))
        assert classes.counts[here].tolist() == [2, 2]
        if layout is not class_folders:
            for number in here:
                red = classes.images[classes.places[number, 0], 0, 0, 0]
                assert abs(int(red) - int(classes.names[number][-3:]) % 256) < 6


def remove_picture(folder):
    next((folder / "images").glob("*.jpg")).unlink()


def foreign_class(folder):
    text = (folder / "val.csv").read_text()
    (folder / "val.csv").write_text(text.replace("," + few("validation")[0], "," + few("test")[0]))


def lose_column(folder):
    text = (folder / "test.csv").read_text()
    (folder / "test.csv").write_text(text.replace("label", "class"))


def lose_label(folder):
    lines = (folder / "test.csv").read_text().splitlines()
    lines[2] = lines[2].partition(",")[0]
    (folder / "test.csv").write_text("\n".join(lines))


def damage_picture(folder):
    next((folder / "images").glob("*.jpg")).write_bytes(b"\xff\xd8 nothing")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (remove_picture, r"1 of the 4 pictures that .*csv lists are missing: .*jpg"),
        (foreign_class, r"is not a validation class of miniImageNet"),
        (lose_column, r"test.csv cannot be read .*label"),
        (lose_label, r"test.csv cannot be read .*line 3 lacks a file name or a label"),
        (damage_picture, r"\.jpg: damaged or not a picture"),
    ],
)
def test_mini_imagenet_of_harmed_files(tmp_path, harm, words):
    csv_layout(tmp_path / "files")
    harm(tmp_path / "files")
    with pytest.raises(DatasetError, match=words):
        load_photographs("mini_imagenet", tmp_path / "tfds", tmp_path / "files", 84)


def test_mini_imagenet_of_other_files(tmp_path):
    """A prepared copy is not passed off as what is asked for now."""
    csv_layout(tmp_path / "files")
    load = functools.partial(load_photographs, "mini_imagenet", tmp_path / "tfds", size=84)
    pictures = len(load(tmp_path / "files").images)
    assert len(load(None).images) == len(load(tmp_path / "files").images) == pictures
    part_folders(tmp_path / "others")
    with pytest.raises(DatasetError, match="was prepared of other files than those in manual_dir"):
        load(tmp_path / "others")
    with pytest.raises(DatasetError, match="is not a folder"):
        load(tmp_path / "nowhere")


def test_mini_imagenet_names_folders_of_no_class(tmp_path, caplog):
    part_folders(tmp_path / "files")
    save(tmp_path / "files" / "train" / "n00000000" / "0.png", (0, 0, 0))
    load_photographs("mini_imagenet", tmp_path / "tfds", tmp_path / "files", 84)
    assert "1 folders are passed over, none of the 64 train classes (n00000000" in caplog.text


def test_mini_imagenet_says_what_it_needs(tmp_path):
    for folder in (None, tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DatasetError, match=r"(?s)manual_dir.*train\.csv, val\.csv, test\.csv"):
            load_photographs("mini_imagenet", tmp_path / "tfds", folder, 84)
