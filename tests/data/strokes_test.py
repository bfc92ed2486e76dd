"""Tests of pen trajectories: the official files where they exist, and ones made here."""

import hashlib
import zipfile

import numpy as np
import pytest
from tensorflow_datasets.core.download.checksums import UrlInfo
from tensorflow_datasets.core.utils import Size

from meta_keras.data import DatasetError, strokes
from meta_keras.data.strokes import load_trajectories, parse_strokes
from meta_keras.data.strokes_builder import OmniglotStrokes


def write_archive(file, alphabets, drawers=20):
    """A zip as the official ones: every point tells its alphabet, character and drawer."""
    folder = file.stem
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{folder}/.DS_Store", b"\0")
        archive.writestr(f"__MACOSX/{folder}/._character01.txt", b"\0")
        for alphabet in alphabets:
            for character in (1, 2):
                for drawer in range(1, drawers + 1):
                    name = f"{folder}/{alphabet}/character{character:02d}/0{character:03d}_"
                    text = f"START\n{drawer},-{character},0\n5.5,-6,10\nBREAK\n7,-8,90\nBREAK\n"
                    archive.writestr(f"{name}{drawer:02d}.txt", text)


def make_official(folder, monkeypatch):
    """The archives in a folder become those whose checksums the builder knows."""
    infos = {}
    for url, info in OmniglotStrokes.url_infos.items():
        content = (folder / info.filename).read_bytes()
        checksum = hashlib.sha256(content).hexdigest()
        infos[url] = UrlInfo(size=Size(len(content)), checksum=checksum, filename=info.filename)
    monkeypatch.setattr(OmniglotStrokes, "url_infos", infos)


@pytest.fixture
def tiny_zips(tmp_path, monkeypatch):
    """Folder with two small archives, known to the builder as the official ones."""
    folder = tmp_path / "zips"
    folder.mkdir()
    write_archive(folder / "strokes_background_small1.zip", ["Greek", "Korean"])
    write_archive(folder / "strokes_background_small2.zip", ["Greek", "Tagalog"])
    make_official(folder, monkeypatch)
    return folder


def test_reads_archives(tiny_zips, tmp_path):
    found = load_trajectories(tmp_path / "tfds", tiny_zips)
    assert list(found) == [
        f"{alphabet}/character{number:02d}"
        for alphabet in ("Greek", "Korean", "Tagalog")
        for number in (1, 2)
    ]
    for name, trajectories in found.items():
        assert len(trajectories) == 20
        for drawer, trajectory in enumerate(trajectories, start=1):
            assert [stroke.tolist() for stroke in trajectory] == [
                [[drawer, int(name[-2:])], [5.5, 6]],
                [[7, 8]],
            ]


def test_other_files_are_refused(tiny_zips, tmp_path):
    (tiny_zips / "strokes_background_small1.zip").write_bytes(b"something else")
    with pytest.raises(DatasetError, match="small1.zip is not the official file"):
        load_trajectories(tmp_path / "tfds", tiny_zips)
    (tiny_zips / "strokes_background_small1.zip").unlink()
    with pytest.raises(DatasetError, match="lacks strokes_background_small1.zip"):
        load_trajectories(tmp_path / "tfds", tiny_zips)


def test_damaged_data(tiny_zips, tmp_path):
    load_trajectories(tmp_path / "tfds", tiny_zips)
    record = next((tmp_path / "tfds").rglob("*small1*.tfrecord*"))
    record.write_bytes(record.read_bytes()[:-300])
    with pytest.raises(DatasetError, match="damaged"):
        load_trajectories(tmp_path / "tfds")
    next((tmp_path / "tfds").rglob("dataset_info.json")).write_text("{")
    with pytest.raises(DatasetError, match="omniglot_strokes data in .* cannot be opened"):
        load_trajectories(tmp_path / "tfds")


def test_missing_drawer(tiny_zips, tmp_path, monkeypatch):
    write_archive(tiny_zips / "strokes_background_small2.zip", ["Tagalog"], drawers=19)
    make_official(tiny_zips, monkeypatch)
    with pytest.raises(DatasetError, match="Tagalog/character01 has 19 trajectories"):
        load_trajectories(tmp_path / "tfds", tiny_zips)


@pytest.mark.parametrize(
    "text",
    ["START", "1,2,3\nBREAK", "START\n1,2,3", "START\n1,2\nBREAK", "START\nBREAK", "START\nx"],
)
def test_files_that_are_no_trajectories(text):
    with pytest.raises(ValueError):
        parse_strokes(text)


def test_rasterise():
    # A horizontal line of width 4 on a sheet of 28: four rows of 20 pixels, and round ends.
    line = [np.array([[4.0, 10], [24, 10]])]
    picture = strokes.rasterise(line, size=28, side=28, pen=4) / 255
    np.testing.assert_allclose(picture[8:12, 5:23], 1, atol=0.15)
    assert picture[:7].max() == picture[13:].max() == 0
    assert picture.sum() == pytest.approx(20 * 4 + np.pi * 2**2, rel=0.05)
    dot = strokes.rasterise([np.array([[20.0, 5]])], size=28, side=28, pen=2)
    rows, columns = np.nonzero(dot > 127)
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == (5, 20)


def test_matches_drawings_to_trajectories():
    rng = np.random.default_rng(0)
    trajectories = [[rng.uniform(10, 95, (3, 2))] for _ in range(6)]
    shuffled = rng.permutation(6)
    drawings = np.stack(
        [
            strokes.rasterise([trajectories[n][0] + rng.normal(0, 1, (3, 2))], pen=4)
            for n in shuffled
        ]
    )
    order, similarity = strokes.match_drawings(drawings, trajectories)
    np.testing.assert_array_equal(order, shuffled)
    assert similarity > 0.8
    # Two that look alike are still given one each.
    order, _ = strokes.match_drawings(drawings[[0, 0, 1]], [trajectories[shuffled[0]]] * 3)
    assert sorted(order) == [0, 1, 2]


def test_resampled_points_are_equally_far_apart():
    # A corner of legs 30 and 10, unevenly recorded; 2 % more of it is spent at its ends.
    corner = np.array([[0.0, 0], [1, 0], [2, 0], [30, 0], [30, 10]])
    sampled = strokes.resample([corner], points=40)
    assert sampled.shape == (40, 3) and sampled.dtype == np.float32
    positions = (np.arange(40) + 0.5) / 40 * 40
    expected = np.stack([np.minimum(positions, 30), np.maximum(positions - 30, 0)], axis=1)
    np.testing.assert_allclose(sampled[:, :2], (expected - [15, 5]) / 15, atol=1e-5)
    np.testing.assert_array_equal(sampled[:, 2], [0] * 39 + [1])


def test_dots_and_pen_lifts_are_kept():
    lines = [
        np.array([[0.0, 0], [100, 0]]),
        np.array([[50.0, 50]]),
        np.array([[0.0, 100], [10, 100]]),
    ]
    sampled = strokes.resample(lines, points=64)
    parts = strokes.split(sampled)
    assert len(parts) == 3 and sampled[:, 2].sum() == 3
    np.testing.assert_allclose(parts[1], 0, atol=1e-6)
    assert len(parts[0]) > 5 * len(parts[2]) > 5 * len(parts[1]) > 0
    # A drawing that is one dot has no size to divide by.
    np.testing.assert_array_equal(strokes.resample([np.array([[3.0, 4]])], 8)[:, :2], 0)


def test_size_and_place_do_not_matter():
    rng = np.random.default_rng(0)
    drawing = [rng.uniform(0, 50, (5, 2)), rng.uniform(0, 50, (3, 2))]
    sampled = strokes.resample(drawing)
    assert np.abs(sampled[:, :2]).max() <= 1 + 1e-6
    moved = strokes.resample([2 * stroke + [30, -7] for stroke in drawing])
    np.testing.assert_allclose(moved, sampled, atol=1e-5)


@pytest.fixture(scope="module")
def official(strokes_dir, tmp_path_factory):
    return load_trajectories(tmp_path_factory.mktemp("strokes"), strokes_dir)


def test_official_files(official):
    assert len(official) == 242
    assert {name.split("/")[0] for name in official} == set(strokes.ALPHABETS)
    points = np.concatenate([np.concatenate(t) for drawn in official.values() for t in drawn])
    assert np.percentile(points, 1) > 0 and np.percentile(points, 99) < strokes.SIDE


def test_official_trajectories_are_those_of_the_drawings(official, omniglot_dir):
    """Every trajectory, drawn again, is one of the drawings of the character of that name."""
    from meta_keras.data import load_characters

    characters = load_characters("omniglot", omniglot_dir)
    index = {name: number for number, name in enumerate(characters.names.tolist())}
    names = list(official)[::8]
    similarities = [
        strokes.match_drawings(characters.images[index[name]], official[name])[1] for name in names
    ]
    assert min(similarities) > 0.9
    # Against the drawings of another character they are far from it.
    other = [
        strokes.match_drawings(characters.images[index[drawn]], official[name])[1]
        for name, drawn in zip(names, [*names[1:], names[0]], strict=True)
    ]
    assert max(other) < 0.8
