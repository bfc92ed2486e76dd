"""Compares runs of `few_shot` and `zero_shot` with each other and with published figures.

    python -m experiments.compare runs/*

Every argument is a `results.json` or the folder of a run; folders of runs that have not ended or
have no accuracy are named and passed over. Prints a table (Markdown), best first, and draws the
accuracies with their 95 % intervals.
"""

import json
import math
import numbers
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import flags

from experiments import program, published
from meta_keras import plots

FLAGS = flags.FLAGS
flags.DEFINE_string("plot", "comparison.png", "The PNG file to draw.")
flags.register_validator("plot", lambda name: name.endswith(".png"), "must end in .png")

EXPERIMENTS = ("few_shot", "zero_shot")
# What is read of a results.json, and what it must be.
FIELDS = {
    "method": lambda v: isinstance(v, str),
    "dataset": lambda v: isinstance(v, str),
    "split": lambda v: isinstance(v, str),
    "batch_norm": lambda v: isinstance(v, str),
    "nway": lambda v: isinstance(v, int) and v >= 2,
    "kshot": lambda v: isinstance(v, int) and v >= 0,
    "test_episodes": lambda v: isinstance(v, int) and v >= 1,
    "test_accuracy": lambda v: _is_number(v) and 0 <= v <= 1,
    "test_ci95": lambda v: _is_number(v) and v >= 0,
    "wall_seconds": lambda v: _is_number(v) and v >= 0,
}


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


class NothingToCompare(Exception):
    """A run without an accuracy; the message says why."""


def read_results(path):
    """One `results.json`, checked; with the name of its folder as `run`.

    Args:
        path: the file, or its folder.

    Raises:
        NothingToCompare: the run has not ended, or is of an experiment without accuracies.
        UsageError: the file is missing or damaged.
    """
    file = pathlib.Path(path).expanduser()
    if file.is_dir():
        file = file / "results.json"
        if not file.exists():
            raise NothingToCompare(f"{path} has no results.json (yet)")
    try:
        results = json.loads(file.read_text())
    except FileNotFoundError as error:
        raise program.UsageError(f"{file}: there is no such file.") from error
    except (OSError, ValueError) as error:
        raise program.UsageError(f"{file} cannot be read ({error}).") from error
    if not isinstance(results, dict) or "experiment" not in results:
        raise program.UsageError(f"{file} is not a results.json of an experiment.")
    if results["experiment"] not in EXPERIMENTS:
        raise NothingToCompare(
            f"{file} is of {results['experiment']!r}, which has no accuracies to compare"
        )
    for name, is_valid in FIELDS.items():
        if name not in results:
            raise program.UsageError(f"{file} is damaged: it lacks {name}.")
        if not is_valid(results[name]):
            raise program.UsageError(f"{file} is damaged: {name} is {results[name]!r}.")
    return {**results, "run": file.resolve().parent.name}


def in_order(runs):
    """By task and data, and the best first."""
    return sorted(
        runs,
        key=lambda r: (r["dataset"], r["split"], r["nway"], r["kshot"], -r["test_accuracy"]),
    )


def task(results):
    shots = f"{results['kshot']}-shot" if results["kshot"] else "zero-shot"
    return f"{results['nway']}-way {shots}"


def table(runs):
    """The runs as a Markdown table, a string."""
    head = [
        "run",
        "method",
        "data",
        "task",
        "accuracy, %",
        "episodes",
        "min",
        "published",
        "remark",
    ]
    rows = [head]
    for results in runs:
        figure, remark = published.compare(results)
        accuracy, ci95 = 100 * results["test_accuracy"], 100 * results["test_ci95"]
        rows.append(
            [
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
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    lines = [
        " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    return "\n".join(f"| {line} |" for line in lines)


def figure(runs):
    """Accuracy and 95 % interval of every run, published figures beside them.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    rows = []
    for results in runs:
        known, _ = published.compare(results)
        rows.append(
            {
                "name": f"{results['run']} ({results['method']})\n"
                f"{task(results)}, {results['dataset']}",
                "accuracy": 100 * results["test_accuracy"],
                "ci95": 100 * results["test_ci95"],
                "published": known[0] if known else None,
                "published_ci95": known[1] if known else None,
            }
        )
    return plots.comparison_figure(rows)


def main(paths):
    if not paths:
        raise program.UsageError("name the results.json files, or run folders, to compare.")
    runs = []
    for path in dict.fromkeys(paths):
        try:
            runs.append(read_results(path))
        except NothingToCompare as reason:
            print(f"Passed over: {reason}.", file=sys.stderr)
    if not runs:
        raise program.UsageError(
            f"none of these is a finished run of {' or '.join(EXPERIMENTS)}: {', '.join(paths)}."
        )
    runs = in_order(runs)
    print(table(runs))
    try:
        plots.save_figure(figure(runs), FLAGS.plot)
    except OSError as error:
        raise program.UsageError(
            f"--plot={FLAGS.plot} cannot be written: {error.strerror}."
        ) from error
    print(f"\nPlot: {FLAGS.plot}")


if __name__ == "__main__":
    program.run(main, takes_arguments=True)
