"""Tests of class folders of pictures."""

import os

import numpy as np
import pytest
from PIL import Image

from meta_keras.data import DatasetError, episodes, load_folder, split_classes
from meta_keras.data.folder import class_folders, find_pictures, read_pictures


@pytest.fixture
def draw():
    """Function that writes a picture: a cross whose upper arm tells `mark` from 1 to 9."""

    def write(file, mark=5, size=(60, 60), mode="L", paper=255):
        file.parent.mkdir(parents=True, exist_ok=True)
        ink = np.zeros((60, 60), bool)
        ink[10:50, 28:32] = True
        ink[10 + 4 * mark - 4 : 14 + 4 * mark - 4, 10:50] = True
        image = Image.fromarray(np.uint8(np.where(ink, 255 - paper, paper)))
        image.resize(size, Image.BOX).convert(mode).save(file)

    return write


@pytest.fixture
def classes(tmp_path, draw):
    """A folder of five classes with 2, 3, 4, 4 and 4 pictures."""
    for number, count in enumerate((2, 3, 4, 4, 4)):
        for picture in range(count):
            draw(tmp_path / "data" / f"class{number}" / f"{picture}.png", 2 * number + 1)
    return tmp_path / "data"


def test_loads_classes_of_different_sizes(classes):
    loaded = load_folder(classes)
    assert loaded.dataset == "folder"
    assert loaded.images.shape == (5, 4, 28, 28) and loaded.images.dtype == np.uint8
    assert loaded.names.tolist() == [f"class{number}" for number in range(5)]
    assert not loaded.evaluation.any()
    inked = loaded.images.any(axis=(2, 3))
    assert inked.sum(axis=1).tolist() == [2, 3, 4, 4, 4]
    assert inked[0].tolist() == [True, True, False, False]
    # A class's pictures are its own: equal here, and different from every other class's.
    for number in range(5):
        np.testing.assert_array_equal(loaded.images[number, 0], loaded.images[number, 1])
        assert number == 0 or (loaded.images[number, 0] != loaded.images[number - 1, 0]).any()


def test_mixed_formats_sizes_and_colours(tmp_path, draw):
    draw(tmp_path / "a" / "1.png")
    draw(tmp_path / "a" / "2.JPG", size=(200, 200))
    draw(tmp_path / "a" / "3.bmp", mode="RGB", size=(120, 120))
    draw(tmp_path / "a" / "4.gif", paper=0)
    images = load_folder(tmp_path).images[0].astype(float)
    assert images.shape == (4, 28, 28)
    for image in images[1:]:
        assert np.abs(image - images[0]).sum() < 0.1 * images[0].sum()


def test_nested_folders_are_classes_by_their_path(tmp_path, draw):
    draw(tmp_path / "Latin" / "a" / "1.png")
    draw(tmp_path / "Latin" / "b" / "1.png")
    draw(tmp_path / "Greek" / "1.png")
    assert load_folder(tmp_path).names.tolist() == ["Greek", "Latin/a", "Latin/b"]


def test_what_is_not_a_picture_is_passed_over(classes):
    for name in ("notes.txt", "labels.CSV", "made.json", "read.me.md"):
        (classes / "class0" / name).write_text("not a picture")
    (classes / "class0" / "._0.png").write_bytes(b"resource fork")
    (classes / ".git").mkdir()
    (classes / "__MACOSX").mkdir()
    assert load_folder(classes).names.tolist() == [f"class{number}" for number in range(5)]
    assert not find_pictures(classes)[1]


def test_all_endings_that_can_be_read(tmp_path, draw):
    for number, ending in enumerate(("png", "JFIF", "jpe", "webp", "ppm", "tga", "jp2")):
        draw(tmp_path / "a" / f"{number}.{ending}")
    assert load_folder(tmp_path).images.shape == (1, 7, 28, 28)


def test_other_files_are_named(classes, caplog):
    names = ("stray.heic", "class1/4.svg", "class1/5")
    for name in names:
        (classes / name).write_bytes(b"cannot be read")
    assert [str(file.relative_to(classes)) for file, _ in find_pictures(classes)[1]] == list(names)
    loaded = load_folder(classes)
    assert loaded.images.any(axis=(2, 3)).sum(axis=1).tolist() == [2, 3, 4, 4, 4]
    for name in names:
        assert f"{name}: its name does not end as a picture's" in caplog.text


def test_links_are_followed_but_not_in_circles(classes, tmp_path, draw):
    draw(tmp_path / "elsewhere" / "deep" / "1.png")
    (tmp_path / "elsewhere" / "back").symlink_to(classes)
    (classes / "linked").symlink_to(tmp_path / "elsewhere")
    (classes / "class0" / "up").symlink_to("../..")
    (classes / "again").symlink_to("class1")
    (classes / "class2" / "0.png").rename(tmp_path / "0.png")
    (classes / "class2" / "0.png").symlink_to(tmp_path / "0.png")
    found, skipped = find_pictures(classes)
    assert {name: len(files) for name, files in found.items()} == {
        "again": 3, "class0": 2, "class1": 3, "class2": 4, "class3": 4, "class4": 4,
        "linked/deep": 1,
    }  # fmt: skip
    assert [(str(file.relative_to(classes)), reason) for file, reason in skipped] == [
        ("class0/up", "a link to a folder that holds it"),
        ("linked/back", "a link to a folder that holds it"),
    ]


def test_damaged_pictures_are_named_and_left_out(classes, caplog):
    (classes / "class1" / "1.png").write_bytes(b"nonsense")
    loaded = load_folder(classes)
    assert loaded.images.any(axis=(2, 3)).sum(axis=1).tolist() == [2, 2, 4, 4, 4]
    assert "class1/1.png: damaged" in caplog.text


def test_small_classes_are_named_and_left_out(classes, caplog):
    (classes / "empty").mkdir()
    loaded = load_folder(classes, at_least=3)
    assert loaded.names.tolist() == ["class1", "class2", "class3", "class4"]
    assert "class0: it has 2 pictures, 3 are needed" in caplog.text
    assert "empty: it has 0 pictures" in caplog.text
    with pytest.raises(DatasetError, match="no class with the 9 pictures .*'class2', has 4"):
        load_folder(classes, at_least=9)


def test_only_regular_files_are_pictures(classes, caplog):
    os.mkfifo(classes / "class1" / "pipe.png")
    (classes / "class1" / "lost.png").symlink_to("nowhere")
    (classes / "class2" / "zero.png").symlink_to("/dev/zero")
    loaded = load_folder(classes)
    assert loaded.images.any(axis=(2, 3)).sum(axis=1).tolist() == [2, 3, 4, 4, 4]
    assert "class1/pipe.png: not a regular file" in caplog.text
    assert "class2/zero.png: not a regular file" in caplog.text
    assert "class1/lost.png: damaged or not a picture (a link to a file that is" in caplog.text


def test_names_are_told_on_one_line(classes, caplog):
    (classes / "class0").rename(classes / "a\nclass\x1b[2J")
    (classes / "class1" / "b\rad.png").write_bytes(b"nonsense")
    loaded = load_folder(classes, at_least=3)
    assert loaded.names.tolist() == ["class1", "class2", "class3", "class4"]
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0].startswith(r"Left out class a\nclass\x1b[2J: it has 2 pictures")
    assert r"class1/b\rad.png: damaged" in messages[1]
    assert not any(set(message) & set("\n\r\x1b") for message in messages)


def test_folders_that_are_none(tmp_path, draw):
    with pytest.raises(DatasetError, match="not a folder"):
        load_folder(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="no class folders"):
        load_folder(tmp_path)
    draw(tmp_path / "stray.png")
    draw(tmp_path / "a" / "1.png")
    with pytest.raises(DatasetError, match=r"stray.png is in no class folder"):
        class_folders(tmp_path)
    found, _ = find_pictures(tmp_path)
    assert {name: len(files) for name, files in found.items()} == {".": 1, "a": 1}


def test_read_pictures_of_nothing():
    images, read, skipped = read_pictures([])
    assert images.shape == (0, 28, 28) and not read and not skipped


def test_episodes_never_draw_blank_places(classes):
    drawings = load_folder(classes).images
    used = set()
    for x, _ in episodes(drawings, 5, 1, 1, seed=0, count=200).as_numpy_iterator():
        for part in ("support_images", "query_images"):
            assert x[part].max(axis=(2, 3, 4)).min() > 0
    # Every picture of the smallest class is used, in support and in query.
    drawings = drawings.copy()
    drawings[0, :2, 0, 0] = 101, 102
    for x, _ in episodes(drawings, 5, 1, 1, seed=0, count=50).as_numpy_iterator():
        corners = [np.rint(x[p][..., 0, 0, 0] * 255).max() for p in x if p != "support_labels"]
        assert sorted(corners) == [101, 102]
        used.add(corners[0])
    assert used == {101, 102}
    with pytest.raises(ValueError, match="together need 3 pictures a class, there are 2"):
        episodes(drawings, 5, 1, 2, seed=0, count=1)


def test_split_of_a_small_folder(classes):
    split = split_classes(load_folder(classes))
    assert [len(split[part]) for part in ("train", "validation", "test")] == [12, 4, 4]
    parts = [{index for index, _ in split[part]} for part in split]
    assert set.union(*parts) == set(range(5)) and sum(map(len, parts)) == 5
    assert split == split_classes(load_folder(classes))
    with pytest.raises(ValueError, match="split='lake'"):
        split_classes(load_folder(classes), "lake")
