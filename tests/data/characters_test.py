"""Tests of loading: real Omniglot where there is one, and a tiny prepared data set everywhere."""

import os
import pathlib
import shutil

import numpy as np
import pytest

from meta_keras.data import characters as module
from meta_keras.data import glyphs_builder, preparation
from meta_keras.data.characters import load_characters
from meta_keras.errors import DatasetError


@pytest.fixture
def cache_home(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.delenv("META_KERAS_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


def _build(data_dir):
    config = glyphs_builder.GlyphsConfig(name="tiny", train_alphabets=1, test_alphabets=1)
    return glyphs_builder.Glyphs(data_dir=data_dir, config=config)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    preparation.prepare(_build(folder))
    return folder


@pytest.fixture
def tiny(prepared, tmp_path, monkeypatch, cache_home):
    """A TFDS folder with 40 characters of glyphs in it, known as the data set `glyphs`."""
    monkeypatch.setitem(preparation.BUILDERS, "glyphs", _build)
    return pathlib.Path(shutil.copytree(prepared, tmp_path / "tfds"))


def _files(folder):
    return sorted(path for path in folder.rglob("*.npz"))


def _warnings(caplog):
    return [r.getMessage() for r in caplog.records if r.filename == "cache.py"]


def test_prepares_and_decodes(tiny):
    loaded = load_characters("glyphs", tiny)
    assert loaded.images.shape == (40, 20, 28, 28)
    assert loaded.images.dtype == np.uint8
    # Ink is bright and rare, whatever the files have.
    assert 0.02 < (loaded.images > 127).mean() < 0.3
    assert loaded.images.reshape(40 * 20, -1).max(axis=1).min() > 127
    assert len(set(loaded.names.tolist())) == 40
    assert all(name.partition("/")[2].startswith("character") for name in loaded.names)
    assert loaded.evaluation.tolist() == [False] * 20 + [True] * 20


def test_area_resizing_keeps_the_amount_of_ink(tiny):
    loaded = load_characters("glyphs", tiny)
    builder = preparation.open_builder("glyphs", tiny)
    ink = np.zeros(40)
    for split in ("train", "test"):
        for example in builder.as_dataset(split=split).as_numpy_iterator():
            ink[example["label"]] += (255.0 - example["image"][..., 0]).mean()
    np.testing.assert_allclose(loaded.images.mean(axis=(1, 2, 3)) * 20, ink, rtol=2e-2)


def test_cache_is_used_until_the_data_change(tiny, cache_home, monkeypatch):
    first = load_characters("glyphs", tiny)
    assert len(_files(cache_home)) == 1 and not _files(tiny)
    monkeypatch.setattr(module, "_decode", lambda *_: pytest.fail("decoded again"))
    again = load_characters("glyphs", tiny)
    np.testing.assert_array_equal(again.images, first.images)
    np.testing.assert_array_equal(again.names, first.names)
    np.testing.assert_array_equal(again.evaluation, first.evaluation)
    assert again.dataset == first.dataset == "glyphs"
    os.utime(next(tiny.rglob("*.tfrecord*")), (1, 1))
    with pytest.raises(pytest.fail.Exception, match="decoded again"):
        load_characters("glyphs", tiny)


@pytest.mark.parametrize("damage", ["cut", "empty", "encrypted", "version", "header", "noise"])
def test_damaged_cache_is_made_again(tiny, cache_home, damage, caplog):
    first = load_characters("glyphs", tiny)
    (file,) = _files(cache_home)
    whole = bytearray(file.read_bytes())
    entry = whole.index(b"PK\1\2")  # of the archive's directory
    content = {
        "cut": whole[:1000],
        "empty": b"",
        "encrypted": whole[: entry + 8] + b"\1" + whole[entry + 9 :],
        "version": whole[: entry + 6] + b"m" + whole[entry + 7 :],
        "header": whole.replace(b"'descr'", b"'descr(", 1),
        "noise": whole[:100_000] + b"\x55" * 50 + whole[100_050:],
    }[damage]
    assert content != whole
    file.write_bytes(content)
    np.testing.assert_array_equal(load_characters("glyphs", tiny).images, first.images)
    (warning,) = _warnings(caplog)
    assert warning.startswith(f"The cache {file} is damaged (") and "\n" not in warning
    caplog.clear()
    load_characters("glyphs", tiny)
    assert not _warnings(caplog)


def test_damage_that_is_whole_as_an_archive(tiny, cache_home, caplog):
    """As of a program that wrote something else there: only the contents tell."""
    first = load_characters("glyphs", tiny)
    (file,) = _files(cache_home)
    with np.load(file) as cached:
        arrays = dict(cached)
    turned = arrays["images"][::-1].copy()
    for changes in ({"images": turned}, {"images": turned[:3]}, {"names": arrays["names"][:0]}):
        np.savez(file, **{**arrays, **changes})
        np.testing.assert_array_equal(load_characters("glyphs", tiny).images, first.images)
    assert caplog.text.count("its checksum is another") == 3


def test_cache_goes_where_it_is_asked_for(tiny, tmp_path, cache_home, monkeypatch):
    monkeypatch.setenv("META_KERAS_CACHE_DIR", str(tmp_path / "asked"))
    load_characters("glyphs", tiny)
    assert len(_files(tmp_path / "asked")) == 1 and not cache_home.exists()


def test_a_cache_that_cannot_be_written_is_but_warned_of(tiny, cache_home, caplog):
    cache_home.write_text("a file where the folder would be")
    first = load_characters("glyphs", tiny)
    (warning,) = _warnings(caplog)
    assert warning.startswith(f"The cache {cache_home}") and "\n" not in warning
    assert "cannot be written (" in warning and "META_KERAS_CACHE_DIR" in warning
    assert first.images.any() and not _files(tiny)


@pytest.mark.parametrize("damage", ["missing", "cut", "noise"])
def test_damaged_data(tiny, damage):
    load_characters("glyphs", tiny)
    record = next(tiny.rglob("*test*.tfrecord*"))
    content = record.read_bytes()
    if damage == "missing":
        record.unlink()
    elif damage == "cut":
        record.write_bytes(content[: len(content) // 2])
    else:
        middle = len(content) // 2
        record.write_bytes(content[:middle] + b"\0" * 100 + content[middle + 100 :])
    with pytest.raises(DatasetError, match="incomplete|damaged"):
        load_characters("glyphs", tiny)


@pytest.mark.parametrize(
    ("name", "content"),
    [("dataset_info.json", "{"), ("dataset_info.json", "[1]"), ("*-train.tfrecord*", "")],
)
def test_damaged_folders(tiny, name, content):
    load_characters("glyphs", tiny)
    next(tiny.rglob(name)).write_text(content)
    with pytest.raises(DatasetError, match="cannot be opened|is damaged"):
        load_characters("glyphs", tiny)


def test_omniglot(omniglot_dir):
    loaded = load_characters("omniglot", omniglot_dir)
    assert loaded.images.shape == (1623, 20, 28, 28)
    assert (~loaded.evaluation).sum() == 964
    assert "Korean/character01" in loaded.names
    assert len({name.split("/")[0] for name in loaded.names}) == 50
    assert pathlib.Path(omniglot_dir).is_dir()


def test_other_names_of_alphabets_are_damage(omniglot_dir, tmp_path, cache_home):
    source = pathlib.Path(omniglot_dir) / "omniglot" / "3.0.0"
    folder = tmp_path / "tfds" / "omniglot" / "3.0.0"
    folder.mkdir(parents=True)
    for file in source.iterdir():
        if file.suffix in (".json", ".txt"):
            shutil.copyfile(file, folder / file.name)
        else:
            (folder / file.name).symlink_to(file)
    names = (folder / "alphabet.labels.txt").read_bytes()
    for content in (b"", names.replace(b"Korean", b"korean"), names[:-9]):
        (folder / "alphabet.labels.txt").write_bytes(content)
        with pytest.raises(DatasetError, match="names of its alphabets are others|out of range"):
            load_characters("omniglot", tmp_path / "tfds")


def test_cache_is_as_readable_as_any_new_file(tiny, cache_home):
    load_characters("glyphs", tiny)
    other = tiny / "other"
    other.write_text("")
    (cache,) = _files(cache_home)
    assert cache.stat().st_mode == other.stat().st_mode
    assert not list(cache_home.rglob("*.tmp"))
