"""Tests of writing whole or not at all."""

import json
import os

import pytest

from meta_keras.files import replacing, versions, write_json


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
