"""Few-shot classification: trains a meta-learner on episodes and tests it on unseen classes.

    python -m experiments.few_shot --nway=5 --kshot=1

The same command again continues an interrupted run, and re-evaluates a finished one. Each --method
has settings and defaults of its own; a flag it does not have is refused.
"""

from absl import flags

from experiments import program, recipe_flags
from meta_keras import recipes
from meta_keras.errors import SettingError

METHODS = {name: recipes.recipe_class(name) for name in recipes.few_shot_names()}
RECIPES = {**METHODS, "sinusoid": recipes.Sinusoid}
PAPERS = "; ".join(f"{name}: {cls.summary()}" for name, cls in METHODS.items())


def define_flags(values):
    flags.DEFINE_enum(
        "method",
        None,
        list(METHODS),
        f"{PAPERS}. Default: that of --preset, else lstm.",
        flag_values=values,
    )
    recipe_flags.define(RECIPES, values)
    recipe_flags.define_run(values)


def main(values):
    settings = recipe_flags.given(RECIPES, values)
    method = settings.pop("method", None)
    if values.preset:
        found = recipes.method_of_preset(values.preset, method)
        if found not in METHODS:
            raise SettingError(
                f"preset={values.preset} is of method={found}, not of one of this program "
                f"({', '.join(METHODS)})."
            )
    return recipe_flags.fit(recipes.recipe(method, **settings), values)


if __name__ == "__main__":
    program.run(main, define_flags, resumes=True)
