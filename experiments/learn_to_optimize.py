"""Learning to learn by gradient descent by gradient descent: trains an optimizer and tests it.

    python -m experiments.learn_to_optimize --problem=quadratic
    python -m experiments.learn_to_optimize --problem=mixture --suite

The same command again continues an interrupted run, and re-evaluates a finished one. A finished
run leaves the trained optimizer in its folder as the preset `optimizer`, for
`LearnedOptimizer.from_preset` and for `--eval_only --preset=`.
"""

from absl import flags

from experiments import program, recipe_flags
from meta_keras import presets, recipes

RECIPES = {name: recipes.recipe_class(name) for name in ("coordinatewise_lstm", "corrected_adam")}
PROBLEMS = {
    problem: name
    for name, cls in RECIPES.items()
    for problem in recipes.settings_of(cls)["problem"][1].choices
}


def define_flags(values):
    flags.DEFINE_enum(
        "problem",
        None,
        list(PROBLEMS),
        "What is optimized. For coordinatewise_lstm, the paper's optimizer: quadratics; a network "
        "with 20 sigmoid units on MNIST; a convolutional network that learns 20 characters, new "
        "ones every time. For corrected_adam, one for any network: a mixture of small networks. "
        "Default: that of --preset's method, else quadratic.",
        flag_values=values,
    )
    recipe_flags.define(RECIPES, values)
    recipe_flags.define_run(values)


def main(values):
    settings = recipe_flags.given(RECIPES, values)
    method = PROBLEMS.get(values.problem)
    if method is None and values.preset:
        method = presets.preset_method(values.preset)
    recipe = RECIPES.get(method, RECIPES["coordinatewise_lstm"])(**settings)
    return recipe_flags.fit(recipe, values)


if __name__ == "__main__":
    program.run(main, define_flags, resumes=True)
