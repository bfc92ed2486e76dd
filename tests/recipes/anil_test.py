"""ANIL as a setting of recipes."""

import pytest

from meta_keras import recipes
from meta_keras.recipes.episodic import EpisodeData


@pytest.mark.parametrize("name", ["lstm", "maml", "fomaml", "meta_sgd"])
def test_it_reaches_the_learner_and_names_the_run(name):
    recipe = recipes.recipe(name, anil=True, filters=2)
    recipe.use_data(EpisodeData({}, "glyphs", None, 5, {}))
    assert recipe.learner().anil is True
    assert recipe.identity()["anil"] is True


@pytest.mark.parametrize("name", ["maml", "reptile"])
def test_runs_that_began_without_the_choice_go_on(name):
    recipe = recipes.recipe(name, filters=2)
    recipe.use_data(EpisodeData({}, "glyphs", None, 5, {}))
    assert recipe.learner().anil is False
    assert recipe.values()["anil"] is False and "anil" not in recipe.identity()


def test_presets_from_before_have_none():
    recipe = recipes.recipe(preset="lstm_omniglot_5way_1shot")
    assert recipe.values()["anil"] is False
