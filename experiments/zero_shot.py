"""Zero-shot classification: classes are known by how they are written, not from examples.

    python -m experiments.zero_shot --nway=5

Trains a prototypical network with class descriptors (Snell et al. 2017, section 2.7) and tests it
on characters of alphabets it has never seen. Chance is 1 / N. The same command again continues an
interrupted run, and re-evaluates a finished one.
"""

from experiments import program, recipe_flags
from meta_keras import recipes

RECIPES = {"zero_shot": recipes.recipe_class("zero_shot")}


def define_flags(values):
    recipe_flags.define(RECIPES, values)
    recipe_flags.define_run(values)


def main(values):
    settings = recipe_flags.given(RECIPES, values)
    return recipe_flags.fit(recipes.recipe("zero_shot", **settings), values)


if __name__ == "__main__":
    program.run(main, define_flags, resumes=True)
