"""A learner is saved whole, and goes on where it was."""

import copy
import json

import keras
import numpy as np
import pytest

from meta_keras import DescribedLearner, EpisodicLearner, Learner
from meta_keras.presets import PresetError, preset_card


def assert_same(some, others):
    for one, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(one, other)


def test_save_load_and_go_on(make_learner, make_batch, compiled, values, tmp_path):
    """Bit for bit, optimizer and moving statistics included."""
    x, y = make_batch()
    learner = compiled(make_learner())
    for _ in range(2):
        learner.train_on_batch(x, y)
    learner.save(tmp_path / "learner.keras")
    keras.utils.set_random_seed(99)
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    assert type(loaded) is type(learner)
    as_json = json.dumps(learner.get_config())  # tuples come back as lists
    assert json.dumps(loaded.get_config()) == as_json
    np.testing.assert_array_equal(loaded(x), learner(x))
    assert int(loaded.optimizer.iterations) == 2
    for _ in range(2):
        assert_same(values(loaded.variables), values(learner.variables))
        assert_same(values(loaded.optimizer.variables), values(learner.optimizer.variables))
        for one in (loaded, learner):
            one.train_on_batch(x, y)


def test_configuration_makes_the_same_learner_any_number_of_times(make_learner):
    learner = make_learner()
    config = learner.get_config()
    before = copy.deepcopy(config)
    copies = [type(learner).from_config(config) for _ in range(2)]
    assert config == before
    assert [one.get_config() for one in copies] == [config, config]
    assert not {id(v) for v in copies[0].variables} & {id(v) for v in copies[1].variables}


def test_preset(row, make_learner, make_batch, tmp_path):
    """Here in double precision, which is kept as well."""
    x, _ = make_batch(dtype="float64")
    learner = make_learner("float64")
    learner.save_to_preset(tmp_path / "mine", {"nway": 3})
    assert preset_card(tmp_path / "mine") == {"method": row.method, "nway": 3}
    for kind in (Learner, type(learner)):
        loaded = kind.from_preset(tmp_path / "mine")
        assert not loaded.compiled
        np.testing.assert_array_equal(loaded(x), learner(x))
        assert loaded(x).dtype == "float64"
    others, article = (EpisodicLearner, "an") if row.described else (DescribedLearner, "a")
    expected = f"{type(learner).__name__}, not {article} {others.__name__}."
    with pytest.raises(PresetError, match=expected):
        others.from_preset(tmp_path / "mine")
