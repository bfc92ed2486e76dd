"""Hand-made optimizers whose rates are tuned, and learned ones compared with them."""

import numpy as np

from meta_keras.errors import NonFiniteLoss, SettingError
from meta_keras.layers import AdamCell, GradientDescentCell, NesterovCell, RMSpropCell
from meta_keras.metrics import mean_and_ci95
from meta_keras.optimizers.curves import loss_curves

BASELINES = {
    "SGD": GradientDescentCell,
    "Nesterov": NesterovCell,
    "RMSprop": RMSpropCell,
    "Adam": AdamCell,
}
RATES = tuple(float(f"{digit}e{exponent}") for exponent in range(-4, 1) for digit in (1, 2, 5))
# Optimizations of these streams never meet: training counts up from seed * 1,000,000,007.
STREAMS = {"validation": -1_000_000, "tuning": -2_000_000, "test": -3_000_000}


def seeds(stream, count):
    """The first `count` optimizations, a range of ints, of a stream that meets no other.

    Args:
        stream: `"validation"`, `"tuning"` or `"test"`.
        count: at most 1,000,000.

    Raises:
        SettingError: there is no such stream, or it has not so many.

    Example:

    >>> list(seeds("test", 2))
    [-3000000, -3000001]
    """
    if stream not in STREAMS:
        raise SettingError(f"stream={stream!r} must be one of {', '.join(STREAMS)}.")
    if not 0 <= count <= 1_000_000:
        raise SettingError(f"count={count!r} must be from 0 to 1,000,000, so that no streams meet.")
    return range(STREAMS[stream], STREAMS[stream] - count, -1)


def tuned(make_cell, problem, steps, validation_runs=20, test_runs=100, rates=RATES):
    """The rate with the best mean loss after `steps` steps.

    All rates are tried on five optimizations, the best five on `validation_runs`, and of those
    the best three on `test_runs`, so that a rate at which few runs diverge does not win by luck.

    Args:
        make_cell: a `FixedRateCell` class.
        problem: a `Problem`.
        steps: after how many steps losses are compared.
        validation_runs: optimizations for the best five.
        test_runs: optimizations for the best three, as many as the test will have.
        rates: the learning rates to try.

    Returns:
        `(rate, grid)`: the grid is a dict from every rate to its last measured mean loss.

    Raises:
        NonFiniteLoss: there is no rate whose mean loss is finite.
    """
    grid, candidates = {}, list(rates)
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


def tuned_baselines(problem, steps, validation_runs=20, test_runs=100, rates=RATES):
    """Every one of `BASELINES` with its best rate, see `tuned`.

    Returns:
        Dict from a name to `{"learning_rate": ..., "grid": ...}`, JSON-able.

    Raises:
        NonFiniteLoss: a baseline diverges at every rate.
    """
    found = {}
    for name, make_cell in BASELINES.items():
        rate, grid = tuned(make_cell, problem, steps, validation_runs, test_runs, rates)
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
        Dict from `"learned"` and every baseline's name to a JSON-able dict: what `baselines` has
        of it (`learning_rate`: None for the learned one), `final_loss_mean`, `final_loss_ci95`,
        and `curve` and `curve_ci95`, lists of `shown_steps + 1` numbers.
    """
    table = {}
    for name in ("learned", *baselines):
        extra = {"learning_rate": None} if name == "learned" else baselines[name]
        cell = learned if name == "learned" else BASELINES[name](extra["learning_rate"])
        curves = loss_curves(cell, problem, runs, shown_steps)
        final, final_ci95 = mean_and_ci95(curves[:, steps])
        mean, ci95 = mean_and_ci95(curves)
        table[name] = {
            **extra,
            "final_loss_mean": final,
            "final_loss_ci95": final_ci95,
            "curve": mean.tolist(),
            "curve_ci95": ci95.tolist(),
        }
    return table


def compare_on(learned, problem, steps, validation_runs=20, test_runs=20, rates=RATES):
    """A learned optimizer against baselines that are tuned on the same problem.

    Args:
        learned: a trained cell.
        problem, steps, validation_runs, test_runs, rates: as for `tuned_baselines`.

    Returns:
        JSON-able dict: `steps`; `runs`, how many; `optimizers`, as of `curve_table`; and
        `verdict`, such as `"better than Adam"`, beside the best baseline.

    Raises:
        NonFiniteLoss: a baseline diverges at every rate.
    """
    baselines = tuned_baselines(problem, steps, validation_runs, test_runs, rates)
    table = curve_table(learned, baselines, problem, seeds("test", test_runs), steps, steps)
    best = min(baselines, key=lambda name: table[name]["final_loss_mean"])
    return {
        "steps": steps,
        "runs": test_runs,
        "optimizers": table,
        "verdict": f"{verdict(table['learned'], table[best])} {best}",
    }


def verdict(learned, best):
    """How the learned optimizer does beside a baseline, in words; both rows of `curve_table`."""
    gap = best["final_loss_mean"] - learned["final_loss_mean"]
    if not abs(gap) > learned["final_loss_ci95"] + best["final_loss_ci95"]:
        return "as good as (intervals overlap)" if np.isfinite(gap) else "DIVERGING, behind"
    return "better than" if gap > 0 else "WORSE than"
