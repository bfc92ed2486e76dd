"""Tests of the choice and the preparation of data sets."""

import json
import pathlib
import urllib.error
from types import SimpleNamespace

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


@pytest.mark.parametrize(("code", "problem"), [(403, False), (405, False), (404, True)])
def test_a_server_that_refuses_to_tell_is_no_problem(tmp_path, monkeypatch, code, problem):
    def refuse(request, timeout):
        raise urllib.error.HTTPError(request.full_url, code, "no", {}, None)

    monkeypatch.setattr(module.urllib.request, "urlopen", refuse)
    found = module._download_problem(module.open_builder("omniglot", tmp_path))
    assert (found is not None) == problem
    assert not problem or "404" in found


def test_files_without_a_name_are_not_listed():
    """As of data sets in TFDS whose address ends in a number."""
    infos = {"a": SimpleNamespace(filename=None), "b": SimpleNamespace(filename="b.zip")}
    assert module._listed(SimpleNamespace(url_infos=infos)) == " (b.zip)"
    assert module._listed(SimpleNamespace(url_infos={"a": infos["a"]})) == ""


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
