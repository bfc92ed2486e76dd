"""Tests of the contract of recipes: names, objects, refusals, learners, episodes."""

import keras
import numpy as np
import pytest

from meta_keras import MAML, recipes
from meta_keras.errors import PresetError, SettingError
from meta_keras.layers import AdamCell, GradientDescentCell

FEW_SHOT = recipes.few_shot_names()
EPISODIC = [*FEW_SHOT, "zero_shot"]
GRADIENT_BASED = ["lstm", "maml", "fomaml", "meta_sgd", "reptile"]
METHODS = [*GRADIENT_BASED, "prototypical", "matching", "relation", "siamese", "r2d2"]


def test_names():
    assert sorted(FEW_SHOT) == sorted(METHODS)
    assert set(recipes.names()) >= {*EPISODIC, "coordinatewise_lstm"}


@pytest.mark.parametrize("name", [*EPISODIC, "coordinatewise_lstm"])
def test_every_recipe_has_words_for_its_settings(name):
    assert recipes.recipe_class(name).__doc__.count("https://") >= 1
    for field, about in recipes.settings_of(recipes.recipe_class(name)).values():
        assert about.help.endswith((".", "sgd with learning_rate=epsilon.")), field.name


@pytest.mark.parametrize("name", EPISODIC)
def test_learner_is_of_the_method(name):
    recipe = recipes.recipe(name, filters=2)
    learner = recipe.learner()
    assert learner.method == name
    assert isinstance(recipe.loss(), keras.losses.Loss)
    if name in ("maml", "fomaml"):
        assert type(learner) is MAML and learner.second_order == (name == "maml")


def test_lstm_keeps_its_defaults():
    values = recipes.recipe().values()
    expected = {
        "method": "lstm", "episodes": 22000, "meta_batch": 2, "learning_rate": 2e-3, "decay": True,
        "clip_norm": 10.0, "nquery": 5, "inner_steps": 1, "inner_batch_size": None,
        "second_order": True, "batch_norm": "transductive", "divide_gradient_by_batch": False,
        "filters": 32, "downsample": "pool", "logits_initializer": "zeros",
        "normalize_features": False, "pools": 4, "meta_optimizer": "adam", "input_gate_bias": 2.0,
        "forget_gate_bias": 6.0, "test_inner_steps": None, "train_kshot": None,
    }  # fmt: skip
    assert {name: values[name] for name in expected} == expected
    # Settings of other methods leave no trace.
    assert not {"inner_learning_rate", "inner_optimizer", "train_nway"} & set(values)


def test_defaults_of_a_method_give_way_to_settings():
    values = recipes.recipe("reptile", meta_batch=4, inner_optimizer="adam").values()
    assert (values["meta_batch"], values["inner_optimizer"]) == (4, "adam")
    assert (values["train_kshot"], values["clip_norm"]) == (10, None)
    assert not {"input_gate_bias", "second_order"} & set(values)


def test_unknown_method():
    with pytest.raises(SettingError, match=r"method=magic must be one of .*siamese"):
        recipes.recipe("magic")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("lstm", {"inner_learning_rate": 0.1}),
        ("maml", {"input_gate_bias": 1.0}),
        ("maml", {"second_order": True}),
        ("fomaml", {"second_order": True}),
        ("meta_sgd", {"inner_optimizer": "sgd"}),
        ("reptile", {"anil": True}),
        ("prototypical", {"ridge": 0.1}),
        ("reptile", {"divide_gradient_by_batch": True}),
        ("maml", {"temperature": 0.1}),
        ("prototypical", {"inner_steps": 2}),
        ("prototypical", {"full_context": True}),
        ("matching", {"distance": "cosine"}),
        ("relation", {"temperature": 0.1}),
        ("siamese", {"relation_loss": "mse"}),
        ("zero_shot", {"kshot": 5}),
        ("coordinatewise_lstm", {"nway": 5}),
        *((name, {"train_nway": 10}) for name in GRADIENT_BASED),
    ],
)
def test_settings_of_other_methods_are_refused(name, settings):
    ((setting, value),) = settings.items()
    with pytest.raises(SettingError, match=f"{setting}={value} does not apply to method={name}"):
        recipes.recipe(name, **settings)


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("maml", {"inner_learning_rate": 0.0}, "inner_learning_rate=0.0 must be positive"),
        ("reptile", {"nquery": 11}, "at most 20"),
        ("lstm", {"kshot": 6}, "`kshot` plus `test_nquery` must be at most 20"),
        ("reptile", {"inner_batch_size": 51}, "at most 50"),
        ("lstm", {"pools": 3, "downsample": "stride"}, "pools=3 does not go with downsample=stri"),
        ("maml", {"inner_batch_size": 6}, "at most 5"),
        ("maml", {"test_inner_steps": 0}, "test_inner_steps=0 must be at least 1"),
        ("lstm", {"nway": 1}, "nway=1 must be at least 2"),
        ("lstm", {"split": "vinyals"}, "split=vinyals needs `split_dir`"),
        ("lstm", {"dataset": "folder"}, "dataset=folder needs `data_dir`"),
        ("lstm", {"episodes": 3}, "multiple of meta_batch=2"),
        ("lstm", {"episodes": 3000}, "multiple of validation_interval=2000"),
        ("prototypical", {"anil": True}, "anil=True does not apply to method=prototypical"),
        ("zero_shot", {"test_nquery": 20}, "at most 19"),
    ],
)
def test_settings_that_do_not_fit(name, settings, words):
    with pytest.raises(SettingError, match=words):
        recipes.recipe(name, **settings)


def test_a_methods_defaults_count_where_pictures_are_counted():
    """Reptile trains with one query picture, so that 16 + 5 drawings of lstm do not matter."""
    recipe = recipes.recipe("reptile", kshot=16, test_nquery=4)
    assert (recipe.train_kshot, recipe.nquery) == (10, 1)


def test_strided_networks_have_no_pools():
    assert recipes.recipe("fomaml", downsample="stride").values()["pools"] is None


def test_episodes(any_data):
    dataset, folder = any_data
    recipe = recipes.recipe(
        "matching", dataset=dataset, data_dir=folder, train_nway=7, train_kshot=3, episodes=4,
        validation_interval=2,
    )  # fmt: skip
    x, y = next(iter(recipe.episodes("train")))
    assert x["support_images"].shape == (1, 21, 28, 28, 1) and y.shape == (1, 14)
    assert len(recipe.episodes("train")) == 4
    x, y = next(iter(recipe.episodes("test", 2, meta_batch=2)))
    assert x["query_images"].shape == (2, 75, 28, 28, 1) and y.shape == (2, 75)
    again, _ = next(iter(recipe.episodes("test", 2, meta_batch=2)))
    np.testing.assert_array_equal(x["support_images"], again["support_images"])
    with pytest.raises(SettingError, match="part=val must be one of train, validation, test"):
        recipe.episodes("val")


def test_a_method_that_wants_more_classes_than_there_are_takes_all(glyphs_dir, caplog, monkeypatch):
    recipe = recipes.recipe("prototypical", dataset="glyphs", data_dir=glyphs_dir, rotations=False)
    classes = len(recipe.data.parts["train"])
    recipe = recipes.recipe("prototypical", dataset="glyphs", data_dir=glyphs_dir)
    monkeypatch.setattr(type(recipe), "train_nway", 10**6)
    object.__setattr__(recipe, "train_nway", 10**6)
    assert recipe.data.train_nway == 4 * classes
    assert recipe.values()["train_nway"] == 4 * classes


def test_more_ways_than_classes(glyphs_dir):
    for settings in ({"nway": 3000}, {"train_nway": 30000}):
        recipe = recipes.recipe("siamese", dataset="glyphs", data_dir=glyphs_dir, **settings)
        ((name, value),) = settings.items()
        with pytest.raises(SettingError, match=rf"{name}={value} is more than the \d+ classes of"):
            recipe.episodes("test")


@pytest.mark.parametrize(("optimizer", "cell"), [("adam", AdamCell), ("sgd", GradientDescentCell)])
def test_reptile_as_the_settings_say(optimizer, cell):
    recipe = recipes.recipe(
        "reptile", filters=2, inner_learning_rate=0.25, inner_optimizer=optimizer
    )
    learner = recipe.learner()
    assert type(learner.cell) is cell
    assert learner.cell.learning_rate == 0.25
    assert getattr(learner.cell, "beta_1", 0.0) == 0.0
    assert learner.network.get_layer("features_norm").input.shape == (None, 3 * 3 * 2)


@pytest.mark.parametrize(
    ("name", "expected"), [("adam", keras.optimizers.Adam), ("sgd", keras.optimizers.SGD)]
)
def test_meta_optimizer_as_the_settings_say(name, expected):
    recipe = recipes.recipe("reptile", meta_optimizer=name, learning_rate=0.5, decay=False)
    optimizer = recipe.optimizer(10)
    assert type(optimizer) is expected and float(optimizer.learning_rate) == 0.5


@pytest.fixture
def preset(tmp_path):
    recipes.recipe("maml", filters=2, test_inner_steps=2).learner().save_to_preset(tmp_path / "p")
    return str(tmp_path / "p")


def test_preset_names_its_method_and_brings_its_settings(preset):
    recipe = recipes.recipe(preset=preset)
    values = recipe.values()
    assert (values["method"], values["second_order"], values["test_inner_steps"]) == (
        "maml",
        True,
        2,
    )
    assert values["filters"] is None  # A learner does not tell.
    assert recipe.learner().method == "maml"


def test_steps_at_test_may_be_chosen_for_a_preset(preset):
    recipe = recipes.recipe(preset=preset, test_inner_steps=4)
    assert recipe.learner().test_inner_steps == recipe.values()["test_inner_steps"] == 4


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "fomaml"}, "is of method=maml, not method=fomaml"),
        ({"filters": 32}, "filters=32 cannot be given with preset="),
        ({"inner_steps": 3}, "inner_steps=3 cannot be given with preset="),
    ],
)
def test_what_does_not_go_with_a_preset(preset, settings, words):
    with pytest.raises(SettingError, match=words):
        recipes.recipe(preset=preset, **settings)


def test_preset_for_another_task(preset):
    with pytest.raises(SettingError, match="is for 5 classes, not nway=7"):
        recipes.recipe(preset=preset, nway=7).learner()


def test_preset_without_a_card(preset, tmp_path):
    (tmp_path / "p" / "card.json").unlink()
    with pytest.raises(PresetError, match="name it yourself"):
        recipes.recipe(preset=preset)
    assert recipes.recipe("maml", preset=preset).learner().method == "maml"
    with pytest.raises(SettingError, match="is of method=maml, not method=fomaml"):
        recipes.recipe("fomaml", preset=preset).learner()


def test_presets_of_another_kind():
    with pytest.raises(SettingError, match="applies|can only|method=coordinatewise_lstm"):
        recipes.recipe("lstm", preset="quadratic")
    with pytest.raises(PresetError, match="'no_such'.*built-in"):
        recipes.recipe(preset="no_such")
