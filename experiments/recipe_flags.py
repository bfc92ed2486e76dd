"""absl flags made of the settings of recipes: one flag a setting, whichever recipes have it."""

import math

from absl import flags

from experiments.program import in_flags
from meta_keras.errors import SettingError
from meta_keras.recipes import settings_of
from meta_keras.recipes.settings import kind_of

# Flags of the program that runs a recipe belong to that program's manual.
flags.disclaim_key_flags()


RUN_FLAGS = ("logdir", "eval_only", "resume")


def define(recipes, values):
    """Defines a flag for every setting of some recipes, without a default: the recipe has it.

    Args:
        recipes: dict from a name to a class of recipes.
        values: `flags.FlagValues`.
    """
    names = dict.fromkeys(name for cls in recipes.values() for name in settings_of(cls))
    for name in names:
        if name in values:  # The program has defined it.
            continue
        owners = {}
        for method, cls in recipes.items():
            field, about = settings_of(cls).get(name, (None, None))
            if field and not about.fixed:
                owners[method] = field, about
        if owners:
            _define(name, owners, list(recipes), names, values)


def _define(name, owners, methods, names, values):
    field, about = next(iter(owners.values()))
    kind, _ = kind_of(field.type)
    text = " ".join(
        [in_flags(about.help, [*names, *RUN_FLAGS]), *_only(owners, methods), _defaults(owners)]
    )
    options = {"flag_values": values}
    if about.choices and any(choice.endswith(":NAME") for choice in about.choices):
        flags.DEFINE_string(name, None, f"<{'|'.join(about.choices)}>: {text}", **options)
        flags.register_validator(
            name,
            lambda value: value is None or about.allows(value),
            f"must be {about.requirement()}",
            flag_values=values,
        )
    elif about.choices:
        flags.DEFINE_enum(name, None, list(about.choices), text, **options)
    elif kind in (int, float):
        define = flags.DEFINE_integer if kind is int else flags.DEFINE_float
        lower = about.at_least if about.above is None else about.above
        define(name, None, text, lower_bound=lower, upper_bound=about.at_most, **options)
        flags.register_validator(
            name,
            lambda value: value is None or (math.isfinite(value) and about.allows(value)),
            f"must be {about.requirement() or 'a number'}, and finite",
            flag_values=values,
        )
    else:
        define = {bool: flags.DEFINE_bool, tuple: flags.DEFINE_list, str: flags.DEFINE_string}
        define[kind](name, None, text, **options)


def _only(owners, methods):
    if len(owners) == len(methods):
        return []
    return [f"Only of {', '.join(owners)}."]


def _defaults(owners):
    """The defaults in words, those that several recipes share together."""
    methods_of = {}
    for method, (field, about) in owners.items():
        cases_of = {}
        for case, value in (about.cases or {}).items():
            cases_of.setdefault(_shown(value), []).append(f"{about.case_of}={case}")
        cases = (f"; {value} with {', '.join(cases)}" for value, cases in cases_of.items())
        methods_of.setdefault(_shown(field.default) + "".join(cases), []).append(method)
    if len(methods_of) == 1:
        return f"Default: {next(iter(methods_of))}."
    parts = [f"{default} ({', '.join(methods)})" for default, methods in methods_of.items()]
    return f"Defaults: {'; '.join(parts)}."


def _shown(value):
    if value is None:
        return "none"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()


def given(recipes, values):
    """The settings that were given on the command line: dict from a name to its value.

    Raises:
        SettingError: a list is not one of integers.
    """
    names = dict.fromkeys(name for cls in recipes.values() for name in settings_of(cls))
    found = {name: values[name].value for name in names if name in values and values[name].present}
    for name, value in found.items():
        if isinstance(value, list):
            if not all(part.isdecimal() for part in value):
                raise SettingError(
                    f"{name}={','.join(value)} must be a list of positive integers such as 20,20."
                )
            found[name] = tuple(int(part) for part in value)
    return found


def define_run(values):
    """The flags of every program that fits a recipe."""
    text = "Folder of the run; one under runs/ if not given."
    flags.DEFINE_string("logdir", None, text, flag_values=values)
    text = "Only test the best weights in --logdir, or, where there is one, those of --preset."
    flags.DEFINE_bool("eval_only", False, text, flag_values=values)
    flags.DEFINE_bool("resume", True, "Continue the run in --logdir.", flag_values=values)


def fit(recipe, values):
    """Runs a recipe as the flags of `define_run` say; returns its results."""
    return recipe.fit(values.logdir, resume=values.resume, eval_only=values.eval_only)
