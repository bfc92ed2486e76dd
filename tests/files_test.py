"""Tests of writing whole or not at all."""

import errno
import json
import os

import pytest

from meta_keras.errors import OutputError, SettingError
from meta_keras.files import (
    naming_full_disk,
    read_json,
    remove_stubs,
    replacing,
    versions,
    write_json,
)


def test_a_file_takes_the_place_of_another(tmp_path):
    write_json(tmp_path / "a.json", {"x": 1})
    write_json(tmp_path / "a.json", {"x": 2})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 2}
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_folder_takes_the_place_of_another(tmp_path):
    for content in ("old", "new"):
        with replacing(tmp_path / "folder") as part:
            part.mkdir()
            (part / content).write_text(content)
    assert os.listdir(tmp_path / "folder") == ["new"]
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("name", ["old", "new"])
def test_names_like_those_used_on_the_way(tmp_path, name):
    for content in ("1", "2"):
        with replacing(tmp_path / name) as part:
            part.mkdir()
            (part / content).write_text(content)
    assert os.listdir(tmp_path / name) == ["2"]


def test_what_fails_leaves_everything_as_it_was(tmp_path):
    (tmp_path / "a.txt").write_text("whole")
    with pytest.raises(OSError, match="disk"), replacing(tmp_path / "a.txt") as part:
        part.write_text("half")
        raise OSError("disk full")
    assert (tmp_path / "a.txt").read_text() == "whole"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_versions():
    assert {"python", "tensorflow", "keras", "numpy"} <= set(versions())


class Refused(Exception):
    """What another library makes of a system's refusal."""


def raise_in_words(number):
    raise Refused(f"events.v2; {os.strerror(number)}\n\tFailed to flush")


def raise_behind_another(number):
    try:
        raise OSError(number, os.strerror(number))
    finally:
        raise ValueError("Can't close the ZIP file while there is an open writing handle on it")


def raise_plainly(number):
    raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("fail", [raise_plainly, raise_in_words, raise_behind_another])
def test_a_full_disk_is_named_whatever_is_raised(tmp_path, fail, number):
    words = rf"a\.txt cannot be written: {os.strerror(number)}\. What was written before is whole"
    (tmp_path / "a.txt").write_text("whole")
    with pytest.raises(OutputError, match=words), replacing(tmp_path / "a.txt") as part:
        part.write_text("half")
        fail(number)
    assert (tmp_path / "a.txt").read_text() == "whole"
    assert os.listdir(tmp_path) == ["a.txt"]
    with pytest.raises(OutputError, match="run cannot be written"), naming_full_disk("run"):
        fail(number)


def test_a_folder_that_is_gone_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"a\.json cannot be written: No such file"):
        write_json(tmp_path / "gone" / "a.json", {})


def test_other_errors_are_left_as_they_are(tmp_path):
    for error in (ZeroDivisionError("x"), SettingError("y"), OSError("without a number")):
        with pytest.raises(type(error), match=str(error)), replacing(tmp_path / "a") as part:
            part.write_text("half")
            raise error
    with pytest.raises(FileNotFoundError), naming_full_disk(tmp_path):
        (tmp_path / "none").read_text()


def test_what_takes_a_place_is_on_disk_before(tmp_path, monkeypatch):
    events, fsync, rename = [], os.fsync, os.replace

    def flush(handle):
        events.append(os.fstat(handle).st_ino)
        fsync(handle)

    def replace(source, target):
        events.append("renamed")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(os, "replace", replace)
    with replacing(tmp_path / "folder") as part:
        part.mkdir()
        (part / "a").write_text("1")
    expected = [tmp_path / "folder" / "a", tmp_path / "folder", "renamed", tmp_path]
    assert events == [path if path == "renamed" else path.stat().st_ino for path in expected]


def test_stubs_of_killed_processes(tmp_path):
    (tmp_path / "tmpab_12.tmp" / "new").mkdir(parents=True)
    (tmp_path / "mine.tmp").mkdir()
    remove_stubs(tmp_path)
    remove_stubs(tmp_path / "none")
    assert os.listdir(tmp_path) == ["mine.tmp"]


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "3", '"x"', "[" * 100_000, "\0"])
def test_what_is_no_table_of_json(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ValueError):
        read_json(tmp_path / "a.json")
