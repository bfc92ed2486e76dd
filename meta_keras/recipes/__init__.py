"""Recipes: everything that makes a published figure, as one object a method.

    >>> from meta_keras import recipes
    >>> recipe = recipes.recipe("prototypical", nway=5, kshot=1)
    >>> recipe.learner().method
    'prototypical'

`recipe.fit(logdir)` does all that the programs under `experiments` do.
"""

from meta_keras.errors import SettingError
from meta_keras.recipes.backbone import BackboneTest
from meta_keras.recipes.coordinatewise_lstm import CoordinatewiseLSTM
from meta_keras.recipes.few_shot import FewShotRecipe, method_of_preset
from meta_keras.recipes.general_optimizer import GeneralOptimizer
from meta_keras.recipes.gradient_based import FOMAML, LSTM, MAML, MetaSGD
from meta_keras.recipes.metric import Matching, Prototypical, Relation, Siamese
from meta_keras.recipes.reptile import Reptile
from meta_keras.recipes.ridge import R2D2
from meta_keras.recipes.settings import named_settings, settings_of
from meta_keras.recipes.sinusoid import Sinusoid
from meta_keras.recipes.zero_shot import ZeroShot

__all__ = [
    "FOMAML",
    "LSTM",
    "MAML",
    "R2D2",
    "BackboneTest",
    "CoordinatewiseLSTM",
    "FewShotRecipe",
    "GeneralOptimizer",
    "Matching",
    "MetaSGD",
    "Prototypical",
    "Relation",
    "Reptile",
    "Siamese",
    "Sinusoid",
    "ZeroShot",
    "few_shot_names",
    "method_of_preset",
    "names",
    "recipe",
    "recipe_class",
    "settings_of",
]


def names():
    """The names of all recipes, a list."""
    return list(named_settings())


def few_shot_names():
    """The names of the recipes of few-shot learners, a list."""
    return [name for name, cls in named_settings().items() if issubclass(cls, FewShotRecipe)]


def recipe_class(name):
    """The class of a recipe, whose settings `settings_of` lists.

    Raises:
        SettingError: there is no recipe of that name.
    """
    try:
        return named_settings()[name]
    except KeyError:
        raise SettingError(f"method={name} must be one of {', '.join(names())}.") from None


def recipe(name=None, **settings):
    """A recipe with other settings than its defaults.

    Args:
        name: one of `names()`; by default that of the preset, `"lstm"` without one.
        **settings: of the recipe, see `help(recipes.recipe_class(name))`.

    Returns:
        An `EpisodicRecipe`, a `CoordinatewiseLSTM` or a `GeneralOptimizer`. All have `learner()`,
        `loss()`, `episodes(part)`, `fit(logdir)` and `published`.

    Raises:
        SettingError (a `ValueError`): there is no such recipe; or a setting is unknown, does not
            apply to this method (with `dataset="sinusoid"`, to `Sinusoid`), is out of range, or
            does not go with another.
        PresetError: there is no such preset.
    """
    if settings.get("dataset") == "sinusoid":
        return _sinusoid(name, {k: v for k, v in settings.items() if k != "dataset"})
    preset = settings.get("preset")
    if preset:
        of_preset = method_of_preset(preset, name)
        if name not in (None, of_preset):
            raise SettingError(f"preset={preset} is of method={of_preset}, not method={name}.")
        if of_preset not in names():
            raise SettingError(f"preset={preset} is of method={of_preset}, which has no recipe.")
        name = of_preset
    return recipe_class(name or "lstm")(**settings)


def _sinusoid(method, settings):
    if method not in (None, Sinusoid.name):
        settings["method"] = method
    return Sinusoid(**settings)
