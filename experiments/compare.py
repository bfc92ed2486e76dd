"""Compares runs of `few_shot` and `zero_shot` with each other and with published figures.

    python -m experiments.compare runs/*

Every argument is a `results.json` or the folder of a run; folders of runs that have not ended or
have no accuracy are named and passed over. Prints a table (Markdown), best first, and draws the
accuracies with their 95 % intervals.
"""

import pathlib
import sys

from absl import flags

from experiments import program
from meta_keras import plots
from meta_keras.errors import SettingError
from meta_keras.recipes import comparison
from meta_keras.texts import printable
from meta_keras.training.tables import print_table


def define_flags(values):
    flags.DEFINE_string("plot", "comparison.png", "The PNG file to draw.", flag_values=values)
    flags.register_validator(
        "plot", lambda name: name.endswith(".png"), "must end in .png", flag_values=values
    )


def main(values, paths):
    if not paths:
        raise SettingError("name the results.json files, or run folders, to compare.")
    folder = pathlib.Path(values.plot).parent
    if not folder.is_dir():
        raise SettingError(f"plot={values.plot} cannot be written: {folder} is no folder.")
    runs = []
    for path in dict.fromkeys(paths):
        try:
            runs.append(comparison.read_results(path))
        except comparison.NothingToCompare as reason:
            print(printable(f"Passed over: {reason}."), file=sys.stderr)
    if not runs:
        raise SettingError(
            f"none of these is a finished run of {' or '.join(comparison.EXPERIMENTS)}: "
            f"{', '.join(paths)}."
        )
    runs = comparison.in_order(runs)
    print_table(comparison.HEAD, [comparison.row(results) for results in runs])
    plots.save_figure(plots.comparison_figure(list(map(comparison.point, runs))), values.plot)
    print(f"\nPlot: {printable(values.plot)}")


if __name__ == "__main__":
    program.run(main, define_flags, takes_arguments=True)
