"""Hand-made optimizers whose rates are tuned on the same problem: what a learned one must beat."""

import numpy as np

from meta_keras import metrics
from meta_keras.errors import NonFiniteLoss
from meta_keras.layers import AdamCell, GradientDescentCell, NesterovCell, RMSpropCell
from meta_keras.optimizers.curves import loss_curves

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
    """The first optimizations of a stream, `"validation"`, `"tuning"` or `"test"`: a range."""
    return range(STREAMS[stream], STREAMS[stream] - count, -1)


def tuned(make_cell, problem, steps, validation_runs, test_runs):
    """The rate with the best mean loss after `steps` steps.

    All rates are tried on five optimizations, the best five on `validation_runs`, and of those the
    best three on as many as the test has, so that a rate at which few runs diverge does not win by
    luck.

    Args:
        make_cell: function from a rate to a `FixedRateCell`.
        problem: a `Problem`.
        steps: length of an optimization.
        validation_runs, test_runs: numbers of optimizations.

    Returns:
        `(rate, grid)`: the grid is a dict from every rate to its last measured mean loss.

    Raises:
        NonFiniteLoss: there is no rate whose mean loss is finite.
    """
    grid, candidates = {}, RATES
    for count, kept in ((5, 5), (validation_runs, 3), (test_runs, 1)):
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


def tuned_baselines(problem, steps, validation_runs, test_runs):
    """Every baseline tuned, see `tuned`.

    Returns:
        Dict from a baseline's name to `{"learning_rate": ..., "grid": ...}`, JSON-able.
    """
    found = {}
    for name, make_cell in BASELINES.items():
        rate, grid = tuned(make_cell, problem, steps, validation_runs, test_runs)
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
        Dict from `"learned"` and the baselines' names to a dict of `learning_rate`,
        `final_loss_mean`, `final_loss_ci95`, `curve`, `curve_ci95`; JSON-able.
    """
    table = {}
    for name in ("learned", *baselines):
        extra = {"learning_rate": None} if name == "learned" else baselines[name]
        cell = learned if name == "learned" else BASELINES[name](extra["learning_rate"])
        curves = loss_curves(cell, problem, runs, shown_steps)
        final_mean, final_ci95 = metrics.mean_and_ci95(curves[:, steps])
        mean, ci95 = metrics.mean_and_ci95(curves)
        table[name] = {
            **extra,
            "final_loss_mean": final_mean,
            "final_loss_ci95": final_ci95,
            "curve": mean.tolist(),
            "curve_ci95": ci95.tolist(),
        }
    return table


def comparison(learned, problem, steps, validation_runs, runs):
    """A trained cell beside baselines tuned on the same problem.

    Args:
        learned: a trained cell.
        problem: a `Problem`.
        steps: length of an optimization.
        validation_runs, runs: numbers of optimizations, see `tuned`.

    Returns:
        `{"steps": ..., "runs": ..., "optimizers": table}`, the table as of `curve_table`.
    """
    found = tuned_baselines(problem, steps, validation_runs, runs)
    table = curve_table(learned, found, problem, seeds("test", runs), steps, steps)
    return {"steps": steps, "runs": runs, "optimizers": table}
