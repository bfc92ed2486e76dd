"""Tests of loading: real Omniglot where there is one, and a tiny prepared data set everywhere."""

import os
import pathlib

import numpy as np
import pytest

from meta_keras.data import characters as module
from meta_keras.data import glyphs_builder, preparation
from meta_keras.data.characters import load_characters
from meta_keras.errors import DatasetError


@pytest.fixture
def cache_home(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def tiny(tmp_path, monkeypatch, cache_home):
    """A TFDS folder with 40 characters of glyphs in it, known as the data set `glyphs`."""
    config = glyphs_builder.GlyphsConfig(name="tiny", train_alphabets=1, test_alphabets=1)

    def build(data_dir):
        return glyphs_builder.Glyphs(data_dir=data_dir, config=config)

    monkeypatch.setitem(preparation.BUILDERS, "glyphs", build)
    return tmp_path / "tfds"


def _files(folder):
    return sorted(path for path in folder.rglob("*.npz"))


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


def test_cache_is_used_until_the_data_change(tiny, monkeypatch):
    first = load_characters("glyphs", tiny)
    (file,) = _files(tiny)
    monkeypatch.setattr(module, "_decode", lambda *_: pytest.fail("decoded again"))
    again = load_characters("glyphs", tiny)
    np.testing.assert_array_equal(again.images, first.images)
    np.testing.assert_array_equal(again.names, first.names)
    assert again.dataset == first.dataset == "glyphs"
    os.utime(next(file.parent.glob("*.tfrecord*")), (1, 1))
    with pytest.raises(pytest.fail.Exception, match="decoded again"):
        load_characters("glyphs", tiny)


def test_damaged_cache_is_made_again(tiny):
    first = load_characters("glyphs", tiny)
    (file,) = _files(tiny)
    file.write_bytes(file.read_bytes()[:1000])
    np.testing.assert_array_equal(load_characters("glyphs", tiny).images, first.images)


def test_cache_goes_to_the_user_where_the_data_are_read_only(tiny, cache_home, monkeypatch):
    first = load_characters("glyphs", tiny)
    _files(tiny)[0].unlink()
    original = module._write_cache

    # As root every folder is writable, so the refusal is played.
    def write(file, *arguments):
        return False if tiny in file.parents else original(file, *arguments)

    monkeypatch.setattr(module, "_write_cache", write)
    load_characters("glyphs", tiny)
    assert not _files(tiny)
    assert len(_files(cache_home)) == 1
    np.testing.assert_array_equal(load_characters("glyphs", tiny).images, first.images)


@pytest.mark.parametrize("damage", ["missing", "cut", "noise"])
def test_damaged_data(tiny, damage):
    load_characters("glyphs", tiny)
    (cache,) = _files(tiny)
    cache.unlink()
    record = next(cache.parent.glob("*test*.tfrecord*"))
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


def test_omniglot(omniglot_dir):
    loaded = load_characters("omniglot", omniglot_dir)
    assert loaded.images.shape == (1623, 20, 28, 28)
    assert (~loaded.evaluation).sum() == 964
    assert "Korean/character01" in loaded.names
    assert len({name.split("/")[0] for name in loaded.names}) == 50
    assert pathlib.Path(omniglot_dir).is_dir()


def test_cache_is_as_readable_as_any_new_file(tiny):
    load_characters("glyphs", tiny)
    other = tiny / "other"
    other.write_text("")
    (cache,) = _files(tiny)
    assert cache.stat().st_mode == other.stat().st_mode
    assert not list(tiny.rglob("tmp*"))
