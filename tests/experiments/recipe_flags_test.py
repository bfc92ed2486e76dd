"""Tests of flags that are made of settings, and of errors in the words of a command line."""

import pytest
from absl import flags

from experiments import few_shot, learn_to_optimize, program, recipe_flags, zero_shot
from meta_keras import recipes
from meta_keras.errors import SettingError

PROGRAMS = [few_shot, zero_shot, learn_to_optimize]


@pytest.mark.parametrize("module", PROGRAMS)
def test_a_flag_a_setting(module):
    values = program.parse(module.define_flags, [])
    for cls in module.RECIPES.values():
        for name, (_, about) in recipes.settings_of(cls).items():
            assert about.fixed or name in values
    assert recipe_flags.given(module.RECIPES, values) == {}


@pytest.mark.parametrize("module", PROGRAMS)
def test_recipes_that_share_a_setting_agree_on_what_is_allowed(module):
    seen = {}
    for cls in module.RECIPES.values():
        for name, (_, about) in recipes.settings_of(cls).items():
            if about.fixed or name == "problem":  # the program's own, which chooses the recipe
                continue
            allowed = (about.at_least, about.at_most, about.above, about.choices, about.help)
            assert seen.setdefault(name, allowed) == allowed, name


def test_given_flags_are_settings():
    arguments = ["--nway=7", "--norotations", "--learning_rate=1", "--dataset=glyphs"]
    values = program.parse(few_shot.define_flags, arguments)
    assert recipe_flags.given(few_shot.RECIPES, values) == {
        "nway": 7,
        "rotations": False,
        "learning_rate": 1.0,
        "dataset": "glyphs",
    }
    values = program.parse(learn_to_optimize.define_flags, ["--units=8,4"])
    assert recipe_flags.given(learn_to_optimize.RECIPES, values) == {"units": (8, 4)}


def test_a_list_of_no_numbers():
    values = program.parse(learn_to_optimize.define_flags, ["--units=20,zero"])
    with pytest.raises(SettingError, match="units=20,zero must be a list of positive integers"):
        recipe_flags.given(learn_to_optimize.RECIPES, values)


def test_flag_files_hold_known_flags():
    for module, file in (
        (few_shot, "ravi_larochelle_1shot"),
        (learn_to_optimize, "andrychowicz_mnist"),
    ):
        values = flags.FlagValues()
        flags.DEFINE_string("flagfile", None, "", flag_values=values)
        module.define_flags(values)
        values(["program", f"--flagfile=experiments/{file}.flags"])
        given = recipe_flags.given(module.RECIPES, values)
        assert len(given) > 5
        next(iter(module.RECIPES.values()))(**given)


def test_help_reads_like_a_manual():
    values = program.parse(few_shot.define_flags, [])
    text = values["episodes"].help
    assert "22000; 60000 with pictures=photographs (lstm)" in text and "24000 (fomaml)" in text
    assert "Only of prototypical." in values["distance"].help
    assert "https" not in text and "Ravi & Larochelle 2017" in values["method"].help
    text = program.parse(learn_to_optimize.define_flags, [])["output_scale"].help
    assert "Default: 0.1; 0.03 with problem=mnist; 0.01 with problem=omniglot, problem=gly" in text


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("nway=1 must be at least 2.", "--nway=1 must be at least 2."),
        ("`nway` plus `kshot`", "--nway plus --kshot"),
        ("resume=False forbids it", "--noresume forbids it"),
        ("train_nway=3 is not nway=2", "train_nway=3 is not --nway=2"),
        ("in runs/nway=2", "in runs/nway=2"),
        ("--nway=3", "--nway=3"),
    ],
)
def test_errors_name_flags(message, expected):
    assert program.in_flags(message, ["nway", "kshot", "resume"]) == expected
