"""Learning to learn by gradient descent by gradient descent: trains an optimizer and tests it.

    python -m experiments.learn_to_optimize --problem=quadratic

The same command again continues an interrupted run, and re-evaluates a finished one. A finished
run leaves the trained optimizer in its folder as the preset `optimizer`, for
`LearnedOptimizer.from_preset` and for `--eval_only --preset=`.
"""

from experiments import program, recipe_flags
from meta_keras import recipes

RECIPES = {"coordinatewise_lstm": recipes.recipe_class("coordinatewise_lstm")}


def define_flags(values):
    recipe_flags.define(RECIPES, values)
    recipe_flags.define_run(values)


def main(values):
    recipe = RECIPES["coordinatewise_lstm"](**recipe_flags.given(RECIPES, values))
    return recipe_flags.fit(recipe, values)


if __name__ == "__main__":
    program.run(main, define_flags, resumes=True)
