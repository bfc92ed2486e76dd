"""The problems of the learned optimizer's recipe."""

from typing import NamedTuple

from meta_keras import data, problems
from meta_keras.errors import SettingError
from meta_keras.recipes.settings import setting

PROBLEMS = ("quadratic", "mnist", "omniglot", "glyphs")
CHARACTERS = PROBLEMS[2:]
FITS = {  # which problems a setting is for
    "variant": ("quadratic",),
    "data_dir": ("mnist", *CHARACTERS),
    "manual_dir": ("omniglot",),
    "grouped": CHARACTERS,
    "generalize": ("mnist",),
}


def by_problem(default, help, mnist=None, characters=None, **options):
    """A setting whose default, that of `quadratic`, is another for other problems."""
    cases = {"mnist": mnist, **dict.fromkeys(CHARACTERS, characters)}
    cases = {problem: value for problem, value in cases.items() if value is not None}
    return setting(default, help, cases=cases, case_of="problem", **options)


class Problems(NamedTuple):
    """The optimizees of each purpose; the same one where only seeds tell them apart."""

    train: problems.Problem
    validation: problems.Problem
    test: problems.Problem


def check(recipe):
    """Refuses settings that do not go with the recipe's problem.

    Raises:
        SettingError: they do not.
    """
    for name, fits in FITS.items():
        if name in recipe.given and getattr(recipe, name) and recipe.problem not in fits:
            raise SettingError(
                f"{name}={getattr(recipe, name)} does not go with problem={recipe.problem}, only "
                f"with {', '.join(fits)}."
            )


def load(recipe):
    """The `Problems` of a recipe.

    Raises:
        DatasetError: the data cannot be had.
    """
    if recipe.problem == "quadratic":
        return Problems(*[problems.Quadratic(recipe.variant)] * 3)
    if recipe.problem == "mnist":
        return Problems(*[problems.mnist_mlp(recipe.data_dir)] * 3)
    characters = data.load_characters(recipe.problem, recipe.data_dir, recipe.manual_dir)
    classes = data.split_classes(characters, "random", rotations=False)
    return Problems(
        *(
            problems.CharacterClassification(data.gather_classes(characters, part))
            for part in classes.values()
        )
    )
