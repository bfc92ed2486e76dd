"""Tests of `.keras` files: without an optimizer, damaged, and with code in them."""

import sys
import zipfile

import keras
import numpy as np
import pytest
from keras.src.saving.serialization_lib import SafeModeScope

from meta_keras import EpisodicLearner, presets, recipes
from meta_keras.errors import PresetError
from meta_keras.presets import model_file


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.train_on_batch(np.ones((3, 2)), np.ones((3, 1)))
    return model


def save_as_preset(model, folder):
    """What another author may hand over: only the model's file."""
    folder.mkdir()
    model.save(folder / presets.MODEL_FILE)
    return folder


def test_the_optimizer_stays_outside_and_the_model_as_it_was(model, tmp_path):
    optimizer, before = model.optimizer, model.get_weights()
    model_file.save(model, tmp_path / "a.keras")
    assert model.optimizer is optimizer and model.compiled
    model.train_on_batch(np.ones((3, 2)), np.ones((3, 1)))
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        assert b"optimizer" not in archive.read("model.weights.h5")
        assert b"Adam" not in archive.read("config.json")
    for value, expected in zip(
        model_file.load(tmp_path / "a.keras").get_weights(), before, strict=True
    ):
        np.testing.assert_array_equal(value, expected)


def test_with_the_optimizer_it_is_read_if_asked(model, tmp_path):
    model.save(tmp_path / "a.keras")
    loaded = model_file.load(tmp_path / "a.keras", compile=True)
    assert int(loaded.optimizer.iterations) == 1
    assert not model_file.load(tmp_path / "a.keras").compiled


def truncated(data):
    return data[: len(data) // 2]


def flipped(data):
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (truncated, r"learner\.keras is damaged \(its [\d,]+ bytes are no \.keras file"),
        (flipped, r"learner\.keras is damaged \(model\.weights\.h5 in it is not what was written"),
        (lambda data: b"", r"is damaged \(its 0 bytes"),
    ],
)
def test_damage_is_called_damage(model, damage, words, tmp_path):
    file = save_as_preset(model, tmp_path / "mine") / presets.MODEL_FILE
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(PresetError, match=words) as error:
        presets.load_preset(tmp_path / "mine")
    assert "not found" not in str(error.value)


def with_config(file, config):
    """Another `config.json` in a `.keras` file."""
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in {**parts, "config.json": config}.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    "config", [b"[]", b"3", b"{", b"[" * 100_000, b'{"class_name": 3}', b"\xff"]
)
def test_damaged_configuration(model, config, tmp_path):
    file = save_as_preset(model, tmp_path / "mine") / presets.MODEL_FILE
    with_config(file, config)
    with pytest.raises(PresetError, match=r"learner\.keras is damaged"):
        presets.load_preset(tmp_path / "mine")


def test_a_lambda_is_refused_whatever_is_enabled_and_nothing_is_run(tmp_path):
    sign = tmp_path / "the code was run"
    layer = keras.layers.Lambda(
        lambda x, path=str(sign): (__import__("pathlib").Path(path).touch(), x)[1]
    )
    model = keras.Sequential([keras.Input((2,)), layer])
    sign.unlink()
    save_as_preset(model, tmp_path / "mine")
    with (
        SafeModeScope(False),
        pytest.raises(PresetError, match="holds a Lambda, that is Python code") as error,
    ):
        EpisodicLearner.from_preset(tmp_path / "mine")
    assert "safe_mode" not in str(error.value)
    assert not sign.exists()


def test_classes_of_another_package_are_refused_and_not_imported(tmp_path, monkeypatch):
    (tmp_path / "other_package.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)

    class Strange(keras.layers.Layer):
        pass

    Strange.__module__ = "other_package"
    save_as_preset(keras.Sequential([keras.Input((2,)), Strange()]), tmp_path / "mine")
    with pytest.raises(PresetError, match="holds a Strange of other_package, which is not known"):
        presets.load_preset(tmp_path / "mine")
    assert "other_package" not in sys.modules


@pytest.mark.parametrize("content", ["[]", "null", '"x"', "[" * 100_000, '{"method": 3}'])
def test_a_damaged_card_is_no_card(model, content, tmp_path):
    folder = save_as_preset(model, tmp_path / "mine")
    (folder / presets.CARD_FILE).write_text(content)
    with pytest.raises(PresetError, match="card"):
        recipes.method_of_preset(folder)
