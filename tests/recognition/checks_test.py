"""Tests of what is refused before anything is loaded, computed or written."""

import json

import keras
import pytest
from PIL import Image

from meta_keras import MatchingNetwork, presets, recognition
from meta_keras.errors import DatasetError, PresetError, SettingError
from meta_keras.recognition import classification


@pytest.fixture
def folders(tmp_path):
    """Two classes with one photograph each, and one to classify."""
    for name in ("support/a/1.png", "support/b/1.png", "query/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), "red").save(tmp_path / name)
    (tmp_path / "backbone.keras").write_bytes(b"weights")
    return tmp_path


@pytest.fixture
def refuse(folders, monkeypatch):
    """Function of arguments of `classify`: the message; nothing is loaded, made or changed."""

    def loaded(*arguments):
        raise AssertionError("This is loaded too early.")

    for name in ("Photographs", "preset_reader"):
        monkeypatch.setattr(classification, name, loaded)

    def contents():
        files = sorted(folders.rglob("*"))
        return [(file, file.read_bytes() if file.is_file() else None) for file in files]

    def refuse(error=SettingError, **arguments):
        arguments = {name: folders / name for name in ("support", "query", "output")} | arguments
        before = contents()
        with pytest.raises(error) as raised:
            recognition.classify(**arguments, warn=lambda message: None)
        assert contents() == before
        return str(raised.value)

    return refuse


def a_run(folder):
    folder.mkdir()
    (folder / "best.keras").write_bytes(b"trained for days")
    (folder / "flags.json").write_text(json.dumps({"method": "prototypical"}))
    return folder


def test_the_backbone_is_not_saved_over(folders, refuse, monkeypatch):
    backbone = folders / "backbone.keras"
    (folders / "link.keras").symlink_to(backbone)
    (folders / "other").mkdir()
    monkeypatch.chdir(folders)
    for save in (backbone, folders / "link.keras", "backbone.keras", "other/../backbone.keras"):
        message = refuse(backbone=str(backbone), save=str(save))
        assert f"save={backbone} is the file of backbone={backbone}" in message
    assert "is the file of" in refuse(backbone="link.keras", save="backbone.keras")


def test_nothing_is_saved_into_a_preset(folders, refuse):
    run = a_run(folders / "run")
    for save in (run / "best.keras", run / "new.keras", run / "deep" / "new.keras"):
        assert f"lies in the folder of preset={run}" in refuse(preset=str(run), save=str(save))
    (folders / "elsewhere").mkdir()
    (run / "best.keras").rename(folders / "elsewhere" / "best.keras")
    (run / "best.keras").symlink_to(folders / "elsewhere" / "best.keras")
    message = refuse(preset=str(run), save=str(folders / "elsewhere" / "best.keras"))
    assert "lies in the folder of preset" in message
    # A run has a results.json of its own.
    assert f"output={run} is the folder of preset={run}" in refuse(preset=str(run), output=run)


def test_no_other_run_is_spoiled(folders, refuse):
    backbone, run = str(folders / "backbone.keras"), a_run(folders / "run")
    message = refuse(backbone=backbone, save=str(run / "best.keras"))
    assert "lies in the folder of a run" in message
    assert f"output={run} holds something else (a run)" in refuse(backbone=backbone, output=run)
    (folders / "other").mkdir()
    (folders / "other" / "results.json").write_text('{"experiment": "backbone"}')
    message = refuse(backbone=backbone, output=folders / "other")
    assert "holds something else (backbone); name another folder" in message


@pytest.mark.parametrize("name", ["support", "query"])
def test_nothing_is_saved_among_pictures(folders, refuse, name):
    save = folders / name / "a" / "c.keras"
    message = refuse(backbone=str(folders / "backbone.keras"), save=str(save))
    assert f"save={save} lies in {name}={folders / name}" in message


def test_targets_that_are_folders(folders, refuse):
    options = {"backbone": str(folders / "backbone.keras")}
    for name in ("predictions.csv", "contact_sheet.png", "results.json", "report.html"):
        (folders / "output" / name).mkdir(parents=True)
        message = refuse(**options, save=str(folders / "c.keras"))
        assert f"output={folders / 'output'} cannot be written: {name} in it is a folder" in message
        (folders / "output" / name).rmdir()
    (folders / "c.keras").mkdir()
    assert f"save={folders / 'c.keras'} is a folder" in refuse(
        **options, save=str(folders / "c.keras")
    )


def test_places_that_are_no_folders(folders, refuse):
    (folders / "file").write_text("")
    backbone = str(folders / "backbone.keras")
    message = refuse(backbone=backbone, output=folders / "file" / "deep" / "out")
    assert message.startswith(f"output={folders}/file/deep/out cannot be written: {folders}/file")
    message = refuse(backbone=backbone, save=str(folders / "file" / "c.keras"))
    assert message.startswith(f"save={folders}/file cannot be written")


def test_pictures_are_looked_for_first(folders, refuse):
    backbone = str(folders / "backbone.keras")
    for name in ("support", "query"):
        message = refuse(DatasetError, backbone=backbone, **{name: folders / "nowhere"})
        assert message == f"{name}={folders / 'nowhere'} is not a folder."
    (folders / "support" / "c").mkdir()
    assert "class 'c' of `support` has no picture." in refuse(backbone=backbone)
    (folders / "support" / "c").rmdir()
    (folders / "support" / "b").rename(folders / "support" / recognition.NONE)
    assert "may be called so" in refuse(backbone=backbone, reject=True)
    (folders / "support" / recognition.NONE).rename(folders / "b")
    assert "has the single class 'a'" in refuse(backbone=backbone)
    (folders / "support" / "a").rename(folders / "a")
    message = refuse(DatasetError, backbone=backbone)
    assert message.startswith(f"support={folders / 'support'}: ") and "no class folders" in message
    (folders / "a").rename(folders / "support" / "a")
    (folders / "b").rename(folders / "support" / "b")
    (folders / "query" / "1.png").unlink()
    assert f"query={folders / 'query'} has no pictures." in refuse(backbone=backbone)


def test_a_preset_is_looked_for_before_pictures_are_read(refuse):
    assert "preset='no_such'" in refuse(PresetError, preset="no_such")


def test_a_preset_that_cannot_reject_is_refused_before_pictures_are_read(folders, monkeypatch):
    learner = MatchingNetwork(keras.Sequential([keras.Input((9, 9, 3)), keras.layers.Flatten()]))
    presets.save_preset(learner, folders / "matching")
    monkeypatch.setattr(classification, "read_support", None)
    paths = [folders / name for name in ("support", "query", "output")]
    with pytest.raises(SettingError, match=r"reject=True with preset=.*MatchingNetwork cannot"):
        recognition.classify(*paths, str(folders / "matching"), reject=True)
    assert not (folders / "output").exists()
