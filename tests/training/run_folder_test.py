"""Tests of run folders: they belong to one set of settings and lose nothing."""

import json
import os

import pytest

from meta_keras.errors import SettingError
from meta_keras.training.run_folder import open_run, saved_settings


@pytest.fixture
def begun(tmp_path):
    """The folder of a run that has got as far as a checkpoint."""
    folder = open_run(tmp_path / "run", {"steps": 5, "units": [20, 20]})
    (folder / "checkpoints" / "000001").mkdir(parents=True)
    return folder


def test_the_same_settings_open_it_again(begun):
    assert open_run(begun, {"steps": 5, "units": [20, 20]}) == begun
    assert saved_settings(begun) == {"steps": 5, "units": [20, 20]}


def test_lists_saved_as_texts_are_the_same(begun):
    (begun / "flags.json").write_text(json.dumps({"steps": 5, "units": ["20", "20"]}))
    assert open_run(begun, {"steps": 5, "units": [20, 20]}) == begun


def test_settings_a_method_has_not_were_once_saved_as_none(begun):
    (begun / "flags.json").write_text(json.dumps({"steps": 5, "units": None, "alpha": None}))
    assert open_run(begun, {"steps": 5}) == begun


def test_a_switch_that_is_off_was_once_no_setting(begun):
    assert open_run(begun, {"steps": 5, "units": [20, 20], "jit_compile": False}) == begun
    with pytest.raises(SettingError, match="jit_compile: None there, True now"):
        open_run(begun, {"steps": 5, "units": [20, 20], "jit_compile": True})


def test_other_settings_are_refused(begun):
    with pytest.raises(SettingError, match=r"(?s)other settings.*steps: 5 there, 6 now"):
        open_run(begun, {"steps": 6, "units": [20, 20]})
    assert saved_settings(begun)["steps"] == 5


def test_not_to_be_continued(begun):
    with pytest.raises(SettingError, match="resume=False"):
        open_run(begun, {"steps": 5, "units": [20, 20]}, resume=False)


def test_a_run_that_came_to_nothing_does_not_block_its_folder(tmp_path):
    folder = open_run(tmp_path / "run", {"steps": 1})
    assert open_run(folder, {"steps": 2}) == folder
    assert json.loads((folder / "flags.json").read_text()) == {"steps": 2}


def test_foreign_folder(tmp_path):
    (tmp_path / "thesis.txt").write_text("do not lose me")
    with pytest.raises(SettingError, match=r"not empty and not a run \(it has thesis\.txt\)"):
        open_run(tmp_path, {})
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match="logdir=.* cannot be written"):
        open_run(tmp_path / "file" / "run", {})


@pytest.mark.parametrize("content", ["[]", "{", "3"])
def test_damaged_settings(begun, content):
    (begun / "flags.json").write_text(content)
    with pytest.raises(SettingError, match=r"flags\.json is damaged"):
        open_run(begun, {"steps": 5})
