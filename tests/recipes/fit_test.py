"""Tests of `recipe.fit`: every method trains, is tested, becomes a preset, and resumes."""

import json

import keras
import numpy as np
import pytest

from meta_keras import data, recipes
from meta_keras.errors import SettingError
from meta_keras.recipes import few_shot_data
from meta_keras.training.progress import Progress

TINY = {
    "filters": 4,
    "nquery": 1,
    "test_nquery": 1,
    "meta_batch": 1,
    "episodes": 2,
    "validation_interval": 2,
    "validation_episodes": 2,
    "test_episodes": 2,
}
OWN = {
    "reptile": {"train_kshot": 2, "inner_steps": 1, "test_inner_steps": 2},
    "fomaml": {"inner_steps": 1, "test_inner_steps": 2},
    **{name: {"train_nway": 7} for name in ("prototypical", "matching", "relation", "siamese")},
}


@pytest.fixture
def make(any_data, plain_runtime, eagerly, request):
    """Function `(method, **settings)`: a recipe that is done within seconds."""
    dataset, folder = any_data

    def make(name, **settings):
        if name == "zero_shot":
            folder_of_glyphs = request.getfixturevalue("glyphs_dir")
            return recipes.recipe(name, **{**TINY, "data_dir": folder_of_glyphs, **settings})
        tiny = {} if "preset" in settings else {**TINY, **OWN.get(name, {})}
        return recipes.recipe(name, **{"dataset": dataset, "data_dir": folder, **tiny, **settings})

    return make


@pytest.mark.parametrize("name", recipes.few_shot_names())
def test_trains_and_becomes_a_preset(make, tmp_path, name):
    folder = tmp_path / "run"
    first = make(name).fit(folder, verbose=False)
    assert first == json.loads((folder / "results.json").read_text())
    assert (first["method"], first["train_episodes"]) == (name, 2)
    assert 0 <= first["test_accuracy"] <= 1
    trained = keras.models.load_model(folder / "best.keras", compile=False)
    assert trained.method == name
    assert first["batch_norm"] == ("transductive" if trained.is_transductive() else "inductive")
    for part in ("train", "validation", "test"):
        assert list((folder / part).glob("events*"))

    trained.save_to_preset(tmp_path / "preset")
    preset = {"preset": str(tmp_path / "preset"), "test_nquery": 1, "test_episodes": 2}
    second = make(None, **preset).fit(tmp_path / "evaluated", eval_only=True, verbose=False)
    assert second["method"] == name
    assert second["test_accuracy"] == first["test_accuracy"]


def test_a_metric_serves_any_number_of_classes_and_shots(make, tmp_path):
    make("prototypical").learner().save_to_preset(tmp_path / "preset")
    sizes = {"nway": 9, "kshot": 2, "test_nquery": 1, "test_episodes": 2}
    recipe = make(None, preset=str(tmp_path / "preset"), **sizes)
    other = recipe.fit(tmp_path / "other", eval_only=True, verbose=False)
    assert (other["nway"], other["kshot"]) == (9, 2)


@pytest.mark.parametrize("name", ["reptile", "prototypical", "zero_shot"])
def test_interrupted_run_ends_with_the_same_weights(make, tmp_path, monkeypatch, name):
    """Moving statistics included, which a resumed run finds in its checkpoint."""
    recipe = make(name, validation_interval=1)
    recipe.fit(tmp_path / "whole", verbose=False)
    begin = Progress.on_epoch_begin

    def stop(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt
        begin(self, epoch, logs)

    with monkeypatch.context() as patched:
        patched.setattr(Progress, "on_epoch_begin", stop)
        with pytest.raises(KeyboardInterrupt):
            recipe.fit(tmp_path / "parts")
    assert not (tmp_path / "parts" / "results.json").exists()
    make(name, validation_interval=1).fit(tmp_path / "parts", verbose=False)
    whole, parts = (
        keras.models.load_model(tmp_path / part / "checkpoints" / "000002" / "learner.keras")
        for part in ("whole", "parts")
    )
    for one, other in zip(whole.variables, parts.variables, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-6)


def test_nothing_is_printed_if_nothing_shall_be(make, tmp_path, capsys):
    make("siamese").fit(tmp_path / "run", verbose=False)
    assert capsys.readouterr().out == ""


def test_auto_takes_glyphs_without_a_network_and_says_why(monkeypatch, glyphs_dir, caplog):
    def no_network(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    caplog.set_level("WARNING", "absl")
    found = recipes.recipe("lstm", data_dir=glyphs_dir).data
    assert found.dataset == "glyphs"
    assert "no route to host" in found.reason
    assert "glyphs" in caplog.text and "no route to host" in caplog.text
    assert found.parts["train"].shape[1:] == (20, 28, 28)


def test_auto_goes_on_with_the_data_it_began_with(monkeypatch, glyphs_dir):
    monkeypatch.setattr(data, "choose_dataset", lambda *args: ("omniglot", ""))
    recipe = recipes.recipe("lstm", data_dir=glyphs_dir)
    assert few_shot_data.load(recipe, "glyphs").dataset == "glyphs"


def test_other_settings_on_the_same_folder_are_refused(make, tmp_path):
    make("siamese").fit(tmp_path / "run", verbose=False)
    with pytest.raises(SettingError, match="nway: 5 there, 4 now"):
        make("siamese", nway=4).fit(tmp_path / "run", verbose=False)
    with pytest.raises(SettingError, match="resume=False"):
        make("siamese").fit(tmp_path / "run", resume=False, verbose=False)
