"""Tests of the choice and the preparation of data sets."""

import json
import pathlib
import urllib.error

import pytest

from meta_keras.data import choose_dataset, load_characters, prepare
from meta_keras.data import preparation as module
from meta_keras.data.glyphs_builder import Glyphs, GlyphsConfig
from meta_keras.errors import DatasetError, SettingError


def test_unknown_data_set(tmp_path):
    with pytest.raises(SettingError, match="'mnist'"):
        load_characters("mnist", tmp_path)


def _no_network(*_, **__):
    raise urllib.error.URLError("no route")


def test_without_network_auto_means_glyphs_and_omniglot_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(module.urllib.request, "urlopen", _no_network)
    dataset, reason = choose_dataset(tmp_path)
    assert dataset == "glyphs"
    assert "no route" in reason
    with pytest.raises(DatasetError, match="with `data_dir`, .* with `manual_dir`"):
        load_characters("omniglot", tmp_path)


def test_auto_means_omniglot_where_there_is_one(omniglot_dir, monkeypatch):
    monkeypatch.setattr(module.urllib.request, "urlopen", _no_network)
    assert choose_dataset(omniglot_dir)[0] == "omniglot"


def test_a_download_that_fails_leaves_glyphs(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_download_problem", lambda builder: None)

    def broken(builder):
        raise DatasetError("the archive is not the official one")

    monkeypatch.setattr(module, "prepare", broken)
    assert choose_dataset(tmp_path) == ("glyphs", "the archive is not the official one")


def test_a_damaged_folder_is_named(tmp_path):
    folder = tmp_path / "glyphs" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{")
    with pytest.raises(DatasetError, match="cannot be opened .* name another `data_dir`"):
        load_characters("glyphs", tmp_path)


def test_missing_manual_files_are_named(tmp_path):
    with pytest.raises(DatasetError, match=f"^manual_dir={tmp_path} lacks images_background.zip"):
        prepare(module.open_builder("omniglot", tmp_path), tmp_path)


@pytest.mark.parametrize("name", ["meta_keras.data.glyphs", "elsewhere"])
def test_recognises_what_a_builder_in_another_module_prepared(tmp_path, name):
    """`dataset_info.json` names the module of the builder, which once was another."""
    config = GlyphsConfig(name="tiny", train_alphabets=1, test_alphabets=1, drawers=1)
    builder = Glyphs(data_dir=tmp_path, config=config)
    prepare(builder)
    file = pathlib.Path(builder.data_dir) / "dataset_info.json"
    info = json.loads(file.read_text())
    file.write_text(json.dumps(info | {"moduleName": name}))
    builder = Glyphs(data_dir=tmp_path, config=config)
    assert builder.is_prepared()
    assert len(list(builder.as_dataset(split="train"))) == 20
