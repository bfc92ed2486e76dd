"""A learned optimizer against hand-made ones whose rates are tuned on the same problem."""

import numpy as np
from absl import flags

from experiments import optimizer_problems
from meta_keras import metrics
from meta_keras.callbacks import NonFiniteLoss
from meta_keras.layers import AdamCell, GradientDescentCell, NesterovCell, RMSpropCell
from meta_keras.optimizers import loss_curves

FLAGS = flags.FLAGS

flags.DEFINE_integer("validation_runs", 20, "Optimizations of a validation.", lower_bound=2)
flags.DEFINE_integer("test_runs", 100, "Fresh optimizations of the test.", lower_bound=2)
flags.DEFINE_integer(
    "test_steps", 200, "Steps shown of a test optimization, at least --steps.", lower_bound=1
)
flags.DEFINE_bool(
    "generalize",
    False,
    "Also test on what the optimizer was not trained on (mnist): 200 and 1,000 steps, 40 hidden "
    "units, two hidden layers, ReLU.",
)
flags.DEFINE_integer(
    "generalize_runs", 20, "Optimizations of each test of --generalize.", lower_bound=2
)

# Optimizations of these streams never meet: training counts up from seed * 1,000,000,007.
STREAMS = {"validation": -1_000_000, "tuning": -2_000_000, "test": -3_000_000}
BASELINES = {
    "SGD": GradientDescentCell,
    "Nesterov": NesterovCell,
    "RMSprop": RMSpropCell,
    "Adam": AdamCell,
}
RATES = [float(f"{digit}e{exponent}") for exponent in range(-4, 1) for digit in (1, 2, 5)]


def seeds(stream, count):
    return range(STREAMS[stream], STREAMS[stream] - count, -1)


def tuned(make_cell, problem, steps, runs):
    """The rate with the best mean loss after `steps` steps.

    All rates are tried on five optimizations, the best five on `--validation_runs`, and of those
    the best three on as many as the test has, so that a rate at which few runs diverge does not
    win by luck.

    Returns:
        `(rate, grid)`: the grid is a dict from every rate to its last measured mean loss.

    Raises:
        NonFiniteLoss: there is no rate whose mean loss is finite.
    """
    grid, candidates = {}, RATES
    for count, kept in ((5, 5), (FLAGS.validation_runs, 3), (runs, 1)):
        curves = loss_curves(make_cell(), problem, seeds("tuning", count), steps, candidates)
        grid |= zip(candidates, curves[:, :, -1].mean(axis=1).tolist(), strict=True)
        finite = [rate for rate in candidates if np.isfinite(grid[rate])]
        if not finite:
            raise NonFiniteLoss(
                f"{make_cell.__name__}: after {steps} steps the mean loss is not finite at any of "
                f"the learning rates {', '.join(f'{rate:g}' for rate in candidates)}."
            )
        candidates = sorted(finite, key=grid.get)[:kept]
    return candidates[0], grid


def tuned_baselines(problem, steps, runs):
    """Dict from every baseline's name to `{"learning_rate": ..., "grid": ...}`, JSON-able."""
    found = {}
    for name, make_cell in BASELINES.items():
        rate, grid = tuned(make_cell, problem, steps, runs)
        found[name] = {"learning_rate": rate, "grid": {f"{r:g}": loss for r, loss in grid.items()}}
    return found


def curve_table(learned, baselines, problem, runs, steps, shown_steps):
    """Losses of all optimizers along the same optimizations: same starts, same minibatches.

    Args:
        learned: a trained cell.
        baselines: as `tuned_baselines` gives them.
        problem: a `Problem`.
        runs: the optimizations' seeds.
        steps: after how many steps they are compared.
        shown_steps: length of the curves.

    Returns:
        The table of optimizers of `results.json`.
    """
    table = {}
    for name in ("learned", *baselines):
        extra = {"learning_rate": None} if name == "learned" else baselines[name]
        cell = learned if name == "learned" else BASELINES[name](extra["learning_rate"])
        curves = loss_curves(cell, problem, runs, shown_steps)
        mean, ci95 = metrics.mean_and_ci95(curves[:, steps])
        table[name] = {
            **extra,
            "final_loss_mean": mean,
            "final_loss_ci95": ci95,
            "curve": curves.mean(axis=0).tolist(),
            "curve_ci95": (1.96 * curves.std(axis=0, ddof=1) / np.sqrt(len(curves))).tolist(),
        }
    return table


def print_table(table, shown_steps, steps):
    """The losses after each of `steps`, for the last of which rates are tuned, and at the end."""
    columns = sorted({*steps, shown_steps})
    heads = "".join(f"{f'loss after {step} steps':>26}" for step in columns)
    print(f"\n{'optimizer':<10}{'rate':>8}{heads}")
    for name, row in table.items():
        cells = "".join(
            f"{row['curve'][step]:>16.5g} +- {row['curve_ci95'][step]:<6.2g}" for step in columns
        )
        print(f"{name:<10}{row['learning_rate'] or '':>8}{cells}", flush=True)
    if shown_steps > max(steps):
        print(f"All rates are tuned for the loss after {max(steps)} steps.", flush=True)


def generalization(learned):
    """Tables as of `curve_table` on the transfer set, the baselines tuned on each problem anew.

    Returns:
        Dict from a description to `{"steps": ..., "runs": ..., "optimizers": table}`.
    """
    results = {}
    for description, (problem, steps) in optimizer_problems.transfer_set().items():
        baselines = tuned_baselines(problem, steps, FLAGS.generalize_runs)
        runs = seeds("test", FLAGS.generalize_runs)
        table = curve_table(learned, baselines, problem, runs, steps, steps)
        results[description] = {"steps": steps, "runs": len(runs), "optimizers": table}
        best = min(baselines, key=lambda name: table[name]["final_loss_mean"])
        verdict = _verdict(table["learned"], table[best])
        print(
            f"\nNot trained for: {description}; the learned optimizer is {verdict} {best}.", end=""
        )
        print_table(table, steps, [steps])
    return results


def _verdict(learned, best):
    gap = best["final_loss_mean"] - learned["final_loss_mean"]
    if not abs(gap) > learned["final_loss_ci95"] + best["final_loss_ci95"]:
        return "as good as (intervals overlap)" if np.isfinite(gap) else "DIVERGING, behind"
    return "better than" if gap > 0 else "WORSE than"
