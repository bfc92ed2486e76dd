"""Runs beside each other and beside published figures."""

import json
import math
import pathlib

from meta_keras.errors import SettingError
from meta_keras.recipes import published
from meta_keras.recipes.settings import named_settings
from meta_keras.texts import printable

EXPERIMENTS = ("few_shot", "zero_shot")
HEAD = ("run", "method", "data", "task", "accuracy, %", "episodes", "min", "published", "remark")


def _is_number(value):
    return type(value) in (int, float) and abs(value) < math.inf


# What is read of a results.json, and what it must be.
FIELDS = {
    "method": lambda v: isinstance(v, str),
    "dataset": lambda v: isinstance(v, str),
    "split": lambda v: isinstance(v, str),
    "batch_norm": lambda v: isinstance(v, str),
    "nway": lambda v: type(v) is int and v >= 2,
    "kshot": lambda v: type(v) is int and v >= 0,
    "test_episodes": lambda v: type(v) is int and v >= 1,
    "test_accuracy": lambda v: _is_number(v) and 0 <= v <= 1,
    "test_ci95": lambda v: _is_number(v) and v >= 0,
    "wall_seconds": lambda v: _is_number(v) and v >= 0,
}


class NothingToCompare(Exception):
    """A run without an accuracy; the message says why."""


def read_results(path):
    """One `results.json`, checked; with the name of its folder as `run`.

    Args:
        path: the file, or its folder.

    Raises:
        NothingToCompare: the run has not ended, or is of an experiment without accuracies.
        SettingError: the file is missing or damaged.
    """
    file = pathlib.Path(path).expanduser()
    if file.is_dir():
        file = file / "results.json"
        if not file.exists():
            raise NothingToCompare(f"{path} has no results.json (yet)")
    if file.exists() and not file.is_file():
        raise SettingError(f"{file} is not a regular file.")
    try:
        results = json.loads(file.read_text())
    except FileNotFoundError as error:
        raise SettingError(f"{file}: there is no such file.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise SettingError(f"{file} cannot be read ({error}).") from error
    if not isinstance(results, dict) or "experiment" not in results:
        raise SettingError(f"{file} is not a results.json of an experiment.")
    if results["experiment"] not in EXPERIMENTS:
        raise NothingToCompare(
            f"{file} is of {results['experiment']!r}, which has no accuracies to compare"
        )
    for name, is_valid in FIELDS.items():
        if name not in results:
            raise SettingError(f"{file} is damaged: it lacks {name}.")
        if not is_valid(results[name]):
            raise SettingError(f"{file} is damaged: {name} is {results[name]!r:.200}.")
    return {**results, "run": file.resolve().parent.name}


def in_order(runs):
    """By task and data, and the best first."""
    return sorted(
        runs,
        key=lambda r: (r["dataset"], r["split"], r["nway"], r["kshot"], -r["test_accuracy"]),
    )


def task(results):
    """The task of a run in words: `5-way 1-shot`."""
    shots = f"{results['kshot']}-shot" if results["kshot"] else "zero-shot"
    return f"{results['nway']}-way {shots}"


def published_figure(results):
    """The published figure a run may be compared with, see `published.compare`."""
    recipe = named_settings().get(results["method"])
    return published.compare(results, recipe.published if recipe else ())


def row(results):
    """A run's row of a table, texts for the columns of `HEAD`."""
    figure, remark = published_figure(results)
    accuracy, ci95 = 100 * results["test_accuracy"], 100 * results["test_ci95"]
    return [
        results["run"],
        f"{results['method']}, {results['batch_norm']}",
        f"{results['dataset']}, {results['split']}",
        task(results),
        f"{accuracy:.2f} +- {ci95:.2f}",
        str(results["test_episodes"]),
        f"{results['wall_seconds'] / 60:.0f}",
        published.percent(*figure) if figure else "",
        remark,
    ]


def point(results):
    """A run as `plots.comparison_figure` draws it."""
    figure, _ = published_figure(results)
    accuracy, ci95 = figure or (None, None)
    run, method, dataset = (printable(results[name]) for name in ("run", "method", "dataset"))
    return {
        "name": f"{run} ({method})\n{task(results)}, {dataset}",
        "accuracy": 100 * results["test_accuracy"],
        "ci95": 100 * results["test_ci95"],
        "published": accuracy,
        "published_ci95": ci95,
    }
