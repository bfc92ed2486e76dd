"""Tests a frozen backbone on photographs: nearest mean, SimpleShot and ridge regression.

    python -m experiments.backbone --backbone=efficientnet.keras --data_dir=photos

Nothing is trained. Every class folder's photographs become features, once: a second run finds them
in the cache. Prints a table of the accuracies over random draws with their 95 % intervals.
"""

from absl import flags

from experiments import program, recipe_flags
from meta_keras.recipes import BackboneTest

RECIPES = {"backbone": BackboneTest}


def define_flags(values):
    recipe_flags.define(RECIPES, values)
    text = "Folder for results.json; one under runs/ if not given."
    flags.DEFINE_string("logdir", None, text, flag_values=values)


def main(values):
    BackboneTest(**recipe_flags.given(RECIPES, values)).fit(values.logdir)


if __name__ == "__main__":
    program.run(main, define_flags)
