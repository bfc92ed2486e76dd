"""Tests of presets: saved, found, refused, and those inside the package."""

import json

import keras
import numpy as np
import pytest

from meta_keras import (
    EpisodicLearner,
    GradientBasedLearner,
    LearnedOptimizer,
    LSTMMetaLearner,
    presets,
)
from meta_keras.layers import GatedLSTMCell, GradientDescentCell
from meta_keras.presets import PresetError


@pytest.fixture
def learner(make_network, randomize_cell):
    cell = GatedLSTMCell(units=3)
    learner = LSTMMetaLearner(make_network(dtype="float32"), cell, inner_steps=2)
    randomize_cell(cell)
    return learner


def test_round_trip(learner, make_episodes, tmp_path):
    learner.save_to_preset(tmp_path / "mine", {"test_accuracy": 0.5})
    loaded = LSTMMetaLearner.from_preset(tmp_path / "mine")
    x, _ = make_episodes(2, dtype="float32")
    np.testing.assert_array_equal(loaded.predict_on_batch(x), learner.predict_on_batch(x))
    assert presets.preset_card(tmp_path / "mine") == {"method": "lstm", "test_accuracy": 0.5}
    assert not list(tmp_path.glob("*.tmp"))


def test_optimizer_is_left_out(learner, make_episodes, tmp_path):
    learner.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    learner.train_on_batch(*make_episodes(1, dtype="float32"))
    learner.save_to_preset(tmp_path / "mine")
    assert not LSTMMetaLearner.from_preset(tmp_path / "mine").compiled


def test_nothing_is_overwritten(learner, tmp_path):
    (tmp_path / "notes.txt").write_text("keep")
    with pytest.raises(PresetError, match="exists already"):
        learner.save_to_preset(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "keep"


def test_unknown_preset():
    with pytest.raises(PresetError, match=r"'nothing'.*built-in"):
        LSTMMetaLearner.from_preset("nothing")


def test_folder_of_a_run(learner, make_episodes, tmp_path):
    """Its best weights, optimizer and all, and the method that its settings name."""
    learner.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    learner.save(tmp_path / "best.keras")
    assert presets.preset_method(tmp_path) is None
    (tmp_path / "flags.json").write_text('{"method": "lstm"}')
    loaded = EpisodicLearner.from_preset(str(tmp_path))
    x, _ = make_episodes(2, dtype="float32")
    np.testing.assert_array_equal(loaded.predict_on_batch(x), learner.predict_on_batch(x))
    assert not loaded.compiled and presets.preset_method(tmp_path) == "lstm"
    (tmp_path / "flags.json").write_text("{")
    with pytest.raises(PresetError, match=r"flags\.json cannot be read"):
        presets.preset_method(tmp_path)


def test_damaged_preset(learner, tmp_path):
    learner.save_to_preset(tmp_path / "mine")
    file = tmp_path / "mine" / "learner.keras"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(PresetError, match="cannot be loaded"):
        LSTMMetaLearner.from_preset(tmp_path / "mine")


def test_damaged_card(learner, tmp_path):
    learner.save_to_preset(tmp_path / "mine")
    (tmp_path / "mine" / "card.json").write_text("{")
    with pytest.raises(PresetError, match=r"card\.json cannot be read"):
        presets.preset_card(tmp_path / "mine")
    (tmp_path / "mine" / "card.json").unlink()
    with pytest.raises(PresetError, match=r"card\.json cannot be read"):
        presets.preset_card(tmp_path / "mine")


def test_preset_of_another_class(make_network, tmp_path):
    @keras.saving.register_keras_serializable(package="meta_keras_tests")
    class Descent(GradientBasedLearner):
        pass

    Descent(make_network(dtype="float32"), GradientDescentCell()).save_to_preset(tmp_path / "gd")
    with pytest.raises(PresetError, match="holds a Descent, not an LSTMMetaLearner"):
        LSTMMetaLearner.from_preset(tmp_path / "gd")


@pytest.mark.parametrize("name", presets.builtin_presets())
def test_built_in_preset(name):
    card = presets.preset_card(name)
    json.dumps(card)
    if "problem" in card:
        optimizer = LearnedOptimizer.from_preset(name)
        assert {"command", "optimizers", "steps", "works", "fails"} <= set(card)
        assert optimizer.cell.trainable_variables
    else:
        learner = EpisodicLearner.from_preset(name)
        assert {"dataset", "split", "nway", "kshot", "test_accuracy", "command"} <= set(card)
        if isinstance(learner, GradientBasedLearner):
            assert learner.network.output_shape[-1] == card["nway"]
    size = (presets.find_preset(name) / presets.MODEL_FILE).stat().st_size
    assert size < 2**20
