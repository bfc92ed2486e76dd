"""Tests of caches: where they lie, and two processes at once."""

import multiprocessing

import numpy as np
import pytest

from meta_keras.data.cache import cache_file, read_arrays, write_arrays

FORMS = {"a": ("f", (500, 400)), "b": ("U", (2,))}


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("META_KERAS_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def arrays(value=1.0):
    return {"a": np.full((500, 400), value), "b": np.array(["x", "дельта"])}


def test_places(home, tmp_path, monkeypatch):
    file = cache_file(tmp_path / "data", "it.npz")
    assert file.is_relative_to(home / ".cache" / "meta_keras") and file.name == "it.npz"
    (tmp_path / "link").symlink_to(tmp_path / "data")
    assert cache_file(tmp_path / "link", "it.npz") == file
    assert cache_file(tmp_path / "other", "it.npz") != file
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_file(tmp_path / "data", "it.npz") == file
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_file("data", "it").is_relative_to(tmp_path / "xdg" / "meta_keras")
    monkeypatch.setenv("META_KERAS_CACHE_DIR", "~/asked")
    assert cache_file("data", "it").is_relative_to(home / "asked")


def test_arrays_come_back(home, caplog):
    file = cache_file("data", "it.npz")
    assert read_arrays(file, "of these", FORMS) is None
    write_arrays(file, "of these", arrays())
    found = read_arrays(file, "of these", FORMS)
    assert list(found) == ["a", "b"] and found["b"].tolist() == ["x", "дельта"]
    np.testing.assert_array_equal(found["a"], arrays()["a"])
    assert read_arrays(file, "of others", FORMS) is None
    assert not caplog.text
    assert read_arrays(file, "of these", {**FORMS, "b": ("U", (3,))}) is None
    assert "its arrays have other shapes" in caplog.text


def test_neither_folders_nor_pipes_are_waited_for(home, caplog):
    file = cache_file("data", "it.npz")
    file.mkdir(parents=True)
    assert read_arrays(file, "", FORMS) is None
    write_arrays(file, "", arrays())
    assert f"The cache {file} cannot be written" in caplog.text


def _write_often(file, value):
    for _ in range(20):
        write_arrays(file, "of these", arrays(value))


def test_two_processes_at_once(home, caplog):
    file = cache_file("data", "it.npz")
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_often, args=(file, value)) for value in (1.0, 2.0)]
    for writer in writers:
        writer.start()
    seen = []
    while any(writer.is_alive() for writer in writers):
        seen.append(read_arrays(file, "of these", FORMS))
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert not caplog.text
    seen = [found["a"] for found in [*seen, read_arrays(file, "of these", FORMS)] if found]
    assert {float(a.min()) for a in seen} <= {1.0, 2.0} and all(np.ptp(a) == 0 for a in seen)
    assert [path.name for path in file.parent.iterdir()] == ["it.npz"]
