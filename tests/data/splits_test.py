"""Tests of the splits into classes for training, validation and test."""

import itertools
import pathlib

import numpy as np
import pytest

from meta_keras.data.characters import Characters, load_characters
from meta_keras.data.splits import PROTOCOLS, SPLITS, gather_classes, split_classes

VINYALS = pathlib.Path(__file__).resolve().parents[3] / "shared" / "splits" / "vinyals"


def _characters(alphabets):
    """Characters of `(name of the alphabet, its size, whether for evaluation)`; blank pictures."""
    names = [f"{name}/character{k + 1:02d}" for name, size, _ in alphabets for k in range(size)]
    evaluation = [held_out for _, size, held_out in alphabets for _ in range(size)]
    images = np.zeros((len(names), 20, 2, 2), np.uint8)
    return Characters("omniglot", images, np.array(names), np.array(evaluation))


@pytest.fixture(scope="module")
def characters():
    """As many classes as Omniglot has: 964 background, 659 evaluation, 50 alphabets."""
    background = [(f"Back{k}", 33 if k < 4 else 32, False) for k in range(30)]
    evaluation = [(f"Eval{k}", 33 if k < 19 else 32, True) for k in range(20)]
    assert sum(size for _, size, _ in background) == 964
    assert sum(size for _, size, _ in evaluation) == 659
    return _characters(background + evaluation)


@pytest.fixture
def small():
    return _characters([("Korean", 3, False), ("Greek", 3, True)])


@pytest.fixture
def split_dir(tmp_path):
    _write(tmp_path, "train", "Korean/character01 Greek/character03")
    _write(tmp_path, "val", "Korean/character02")
    _write(tmp_path, "test", "Greek/character01 Greek/character02")
    return tmp_path


def _write(folder, stem, characters):
    lines = [f"{name}/rot{d}" for name in characters.split() for d in ("000", "090", "180", "270")]
    (folder / f"{stem}.txt").write_text("\n".join(lines) + "\n")


def _classes(split, name):
    return [c for c, _ in split[name]]


def _assert_is_a_split(split, rotations):
    """Sorted, disjoint, and every class with all its rotations in one part."""
    assert list(split) == list(SPLITS)
    degrees = (0, 90, 180, 270) if rotations else (0,)
    for part in split.values():
        assert part == sorted(part)
        assert part == list(itertools.product(sorted({c for c, _ in part}), degrees))
        assert all(type(c) is int and type(d) is int for c, d in part)
    for one, other in itertools.combinations(SPLITS, 2):
        assert not set(_classes(split, one)) & set(_classes(split, other))


@pytest.mark.parametrize("rotations", [True, False])
def test_random(characters, rotations):
    split = split_classes(characters, "random", rotations)
    _assert_is_a_split(split, rotations)
    sizes = [len(set(_classes(split, name))) for name in SPLITS]
    assert sizes == [1100, 100, 423]
    assert split_classes(characters, "random", rotations) == split
    # Drawn at random, not in order: test classes lie all over the range.
    assert np.ptp(_classes(split, "test")) > 1500
    assert 700 < np.mean(_classes(split, "test")) < 920


def test_random_keeps_its_shares_elsewhere():
    split = split_classes(_characters([("A", 500, False), ("B", 500, True)]), "random")
    _assert_is_a_split(split, rotations=True)
    assert [len(split[name]) // 4 for name in SPLITS] == [678, 62, 260]


@pytest.mark.parametrize("rotations", [True, False])
def test_lake(characters, rotations):
    split = split_classes(characters, "lake", rotations)
    _assert_is_a_split(split, rotations)
    alphabets = {
        name: {characters.names[c].split("/")[0] for c in _classes(split, name)} for name in SPLITS
    }
    assert alphabets["test"] == {f"Eval{k}" for k in range(20)}
    assert len(alphabets["validation"]) == 5
    assert alphabets["train"] | alphabets["validation"] == {f"Back{k}" for k in range(30)}
    assert not alphabets["train"] & alphabets["validation"]
    assert sum(len(set(_classes(split, name))) for name in SPLITS) == 1623
    assert split_classes(characters, "lake", rotations) == split


@pytest.mark.parametrize("rotations", [True, False])
def test_vinyals(small, split_dir, rotations):
    split = split_classes(small, "vinyals", rotations, split_dir)
    _assert_is_a_split(split, rotations)
    # Korean is 0, 1, 2 and Greek 3, 4, 5.
    assert [sorted(set(_classes(split, name))) for name in SPLITS] == [[0, 5], [1], [3, 4]]


def test_vinyals_needs_a_folder(small):
    with pytest.raises(ValueError, match="needs `split_dir`"):
        split_classes(small, "vinyals")


@pytest.mark.parametrize("stem", ["train", "val", "test"])
def test_vinyals_missing_file(small, split_dir, stem):
    (split_dir / f"{stem}.txt").unlink()
    with pytest.raises(ValueError, match=f"{stem}.txt cannot be read"):
        split_classes(small, "vinyals", split_dir=split_dir)


def test_vinyals_empty_file(small, split_dir):
    _write(split_dir, "val", "")
    with pytest.raises(ValueError, match=r"val.txt lists no class"):
        split_classes(small, "vinyals", split_dir=split_dir)


@pytest.mark.parametrize(
    "line",
    [
        "Latin/character01/rot000",
        "Korean/character04/rot000",
        "Korean/character03",
        "Korean/character03/rot45",
        "Korean/character03/rot045",
        "nonsense",
    ],
)
def test_vinyals_unknown_class(small, split_dir, line):
    (split_dir / "val.txt").write_text(f"{line}\n")
    with pytest.raises(ValueError, match=f"val.txt: '{line}' is not a class of omniglot"):
        split_classes(small, "vinyals", split_dir=split_dir)


def test_vinyals_overlap(small, split_dir):
    (split_dir / "test.txt").write_text("Korean/character01/rot090\n")
    with pytest.raises(ValueError, match=r"test\.txt: Korean/character01 is in 'train' already"):
        split_classes(small, "vinyals", split_dir=split_dir)


def test_unknown_protocol(small):
    with pytest.raises(ValueError, match="'alphabetic'"):
        split_classes(small, "alphabetic")
    assert "alphabetic" not in PROTOCOLS


def test_gather_classes_rotates_every_drawing():
    images = np.random.default_rng(0).integers(0, 256, (3, 20, 4, 4), np.uint8)
    characters = Characters("omniglot", images, np.array(list("abc")), np.zeros(3, bool))
    gathered = gather_classes(characters, [(2, 0), (2, 90), (0, 180), (1, 270)])
    assert gathered.dtype == np.uint8
    assert gathered.shape == (4, 20, 4, 4)
    np.testing.assert_array_equal(gathered[0], images[2])
    np.testing.assert_array_equal(gathered[1, 7], np.rot90(images[2, 7]))
    np.testing.assert_array_equal(gathered[2, 19], images[0, 19, ::-1, ::-1])
    np.testing.assert_array_equal(gathered[3, 0], np.rot90(images[1, 0], 3))


def test_vinyals_published_lists(omniglot_dir):
    if not VINYALS.is_dir():
        pytest.skip("the published lists of Vinyals et al. are not there")
    split = split_classes(load_characters("omniglot", omniglot_dir), "vinyals", True, VINYALS)
    _assert_is_a_split(split, rotations=True)
    assert [len(split[name]) for name in SPLITS] == [4112, 688, 1692]


def test_vinyals_class_listed_twice(small, split_dir):
    line = (split_dir / "val.txt").read_text().split()[0]
    (split_dir / "val.txt").write_text(f"{line}\n{line}\n")
    with pytest.raises(ValueError, match=f"val.txt: '{line}' is listed twice"):
        split_classes(small, "vinyals", split_dir=split_dir)
