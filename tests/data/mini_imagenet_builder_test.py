"""Tests of miniImageNet in its layouts of files."""

import csv
import functools

import pytest

from meta_keras.data import DatasetError, load_photographs, mini_imagenet_builder, split_named
from tests.own_photographs import save


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("META_KERAS_CACHE_DIR", str(tmp_path / "cache"))


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
