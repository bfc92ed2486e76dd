"""The test of an optimizer for any network: held-out tasks, beside tuned optimizers of Keras."""

import gc
import hashlib

import numpy as np

from meta_keras import files, plots
from meta_keras.metrics import mean_and_ci95
from meta_keras.optimizers import LearnedOptimizer, courses
from meta_keras.problems import held_out
from meta_keras.training.tables import print_table

TUNING, TEST = (101, 102), 201  # seeds; none of the tests' is one of the tuning's
LEARNED, NO_STEPS = "learned", "learned, steps not told"
REFERENCE = "Adam"  # with a tuned constant rate
FACTOR = 1.3  # A loss that many times the other's is a failure, whatever the intervals say.
TINY = 1e-6  # Below that a loss in float32 is nothing.


def load(recipe):
    """The tasks; raises `DatasetError` before any long work."""
    return held_out.held_out_tasks(recipe.data_dir, recipe.manual_dir)


def run(recipe, tasks, cell, folder, say):
    """Tests a cell on all tasks; tells of it, and draws the curves.

    Results of the baselines are kept in `suite.json` of the folder, task by task, so that a run
    that was stopped goes on, and another optimizer in the same folder is tested beside them.

    Args:
        recipe: a `GeneralOptimizer`.
        tasks: as `load` gives them.
        cell: the trained cell.
        folder: a `pathlib.Path`.
        say: function of a text for the user; None: nothing is told.

    Returns:
        JSON-able dict: `steps`, `runs`, `rows`, one of every task, optimizer and number of
        steps, see `courses.trainings`, and `summary`, see `summary`.
    """
    file = folder / "suite.json"
    protocol = {
        "runs": recipe.suite_runs,
        "steps": list(recipe.suite_steps),
        "rates": list(courses.RATES),
        "versions": files.versions(),
    }
    kept = _kept(file, protocol)
    identity = _identity(cell)
    tell = say or (lambda *_: None)
    tell(f"Testing on {len(tasks)} tasks that no optimizer here was trained on ...")
    rows = []
    for name, task in tasks.items():
        about = _about(task)
        if kept.get(name, {}).get("task") != about:
            kept[name] = {"task": about, "baselines": _baselines(task, recipe), "learned": None}
            files.write_json(file, {**protocol, "tasks": kept})
        learned = kept[name]["learned"]
        if not learned or learned["identity"] != identity:
            kept[name]["learned"] = {"identity": identity, "rows": _learned(task, cell, recipe)}
            files.write_json(file, {**protocol, "tasks": kept})
        both = kept[name]["baselines"] + kept[name]["learned"]["rows"]
        found = [{"task": name, "distance": task.distance, **row} for row in both]
        rows += found
        tell(f"{name}: " + "; ".join(_verdict(found, steps) for steps in recipe.suite_steps))
    result = {
        "steps": list(recipe.suite_steps),
        "runs": recipe.suite_runs,
        "rows": rows,
        "summary": summary(rows, recipe.suite_steps),
    }
    if say:
        _tell(result, say)
    plots.save_figure(plots.suite_figure(rows), folder / "suite.png", folder / "suite.svg")
    return result


def _kept(file, protocol):
    """What `suite.json` holds of the same protocol: dict from a task to its results."""
    try:
        saved = files.read_json(file)
    except (OSError, ValueError):
        return {}
    if any(saved.get(key) != value for key, value in protocol.items()):
        return {}
    whole = {"task", "baselines", "learned"}
    return {name: kept for name, kept in saved.get("tasks", {}).items() if whole == set(kept)}


def _about(task):
    """What decides the results on a task, for `suite.json`."""
    data = hashlib.sha256()
    for part in (*task.train, *task.held_out):
        data.update(np.asarray(part).tobytes())
    layers = task.make_model().layers
    return {
        "network": [
            [type(part).__name__, *(list(w.shape) for w in part.weights)] for part in layers
        ],
        "batch_size": task.batch_size,
        "loss": task.loss.name,
        "data": data.hexdigest(),
    }


def _identity(cell):
    """A name of the cell's weights and settings."""
    config = {**cell.get_config(), "shapes": None, "name": None, "steps": None}
    digest = hashlib.sha256(repr(sorted(config.items(), key=str)).encode())
    for variable in cell.variables:
        digest.update(np.asarray(variable).tobytes())
    return digest.hexdigest()


def _baselines(task, recipe):
    """The rows of Keras' optimizers, each with the best of its rates."""
    rows = []
    longest = max(recipe.suite_steps)
    for name, (make, interval) in courses.BASELINES.items():
        tuned = {}
        if interval and not courses.decays(make):
            # One training as long as the longest tells of the shorter ones, too.
            tuned = courses.tuned_rates(task, make, interval, longest, TUNING, recipe.suite_steps)
        elif interval:
            for steps in recipe.suite_steps:
                tuned |= courses.tuned_rates(task, make, interval, steps, TUNING, [steps])
        for steps in recipe.suite_steps:
            rate, grid = tuned.get(steps, (None, None))
            rows.append(_row(name, task, make(steps), steps, recipe, rate, grid))
    return rows


def _learned(task, cell, recipe):
    rows = []
    for name in (LEARNED, NO_STEPS):
        for steps in recipe.suite_steps:
            cell.steps = steps if name == LEARNED else None
            rows.append(_row(name, task, LearnedOptimizer(_fresh(cell)), steps, recipe))
    return rows


def _fresh(cell):
    """A copy of a cell that no graph holds."""
    copy = type(cell).from_config({**cell.get_config(), "shapes": None})
    copy.build_once()
    for new, old in zip(copy.variables, cell.variables, strict=True):
        new.assign(old)
    return copy


def _row(name, task, optimizer, steps, recipe, rate=None, grid=None):
    seeds = range(TEST, TEST + recipe.suite_runs)
    found = courses.trainings(task, optimizer, steps, seeds, rate)
    gc.collect()  # Graphs refer to themselves.
    grid = None if grid is None else {f"{r:g}": loss for r, loss in grid.items()}
    return {"optimizer": name, "steps": steps, "learning_rate": rate, "grid": grid, **found}


def summary(rows, all_steps):
    """How the learned optimizer does beside every other: the numbers of tasks.

    Args:
        rows: of `run`.
        all_steps: list of numbers of steps.

    Returns:
        A list of dicts: `learned` and `beside`, names of rows; `steps`; on how many tasks it is
        `better`, `as_good` (intervals overlap) or `worse` by the training loss; the largest
        `factor` of its loss over the other's, None if it diverged, and on which task, `worst`; and
        `failures`, dict from every task where it is above 1.3 to the factor.
    """
    table = {(row["task"], row["optimizer"], row["steps"]): row for row in rows}
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    found = []
    for learned in (LEARNED, NO_STEPS):
        for beside in courses.BASELINES:
            for steps in all_steps:
                pairs = [
                    (table[task, learned, steps], table[task, beside, steps]) for task in tasks
                ]
                verdicts = [compare(*pair) for pair in pairs]
                factors = [_factor(*pair) for pair in pairs]
                worst = int(np.argmax(factors))
                found.append(
                    {
                        "learned": learned,
                        "beside": beside,
                        "steps": steps,
                        **{kind: verdicts.count(kind) for kind in ("better", "as_good", "worse")},
                        "factor": _number(factors[worst]),
                        "worst": tasks[worst],
                        "failures": {
                            task: _number(factor)
                            for task, factor in zip(tasks, factors, strict=True)
                            if factor > FACTOR
                        },
                    }
                )
    return found


def _mean(row):
    return float(np.mean(row["training_loss"]))


def _factor(own, other):
    """The first loss over the second; infinite where that diverged."""
    own, other = _mean(own), _mean(other)
    if not np.isfinite(own):
        return np.inf
    return (own + TINY) / (other + TINY) if np.isfinite(other) else 0.0


def _number(value):
    """A float as JSON can hold it: None for an infinite one."""
    return float(value) if np.isfinite(value) else None


def compare(own, other):
    """`"better"`, `"as_good"` (intervals overlap) or `"worse"`, by the training loss."""
    (mean, ci95), (other_mean, other_ci95) = (
        mean_and_ci95(row["training_loss"]) for row in (own, other)
    )
    if np.isfinite(mean) and not np.isfinite(other_mean):
        return "better"
    if not np.isfinite(mean):
        return "worse"
    if abs(mean - other_mean) <= ci95 + other_ci95:
        return "as_good"
    return "better" if mean < other_mean else "worse"


def _verdict(rows, steps):
    """One task in a few words."""
    of_steps = {row["optimizer"]: row for row in rows if row["steps"] == steps}
    own, other = of_steps[LEARNED], of_steps[REFERENCE]
    kind = compare(own, other).replace("_", " ")
    return f"{steps} steps {_mean(own):.4g} ({kind}; {REFERENCE} {_mean(other):.4g})"


def _times(factor):
    return "diverged" if factor is None else f"{factor:.2f} times"


def _tell(result, say):
    say("")
    print_table(
        ["optimizer", "beside", "steps", "better", "as good", "worse", "largest loss over its"],
        [
            [
                *(str(row[key]) for key in ("learned", "beside", "steps")),
                *(str(row[key]) for key in ("better", "as_good", "worse")),
                f"{_times(row['factor'])} ({row['worst']})",
            ]
            for row in result["summary"]
        ],
    )
    say("")
    for row in result["summary"]:
        if row["beside"] == REFERENCE and row["learned"] == LEARNED:
            named = [f"{task} ({_times(factor)})" for task, factor in row["failures"].items()]
            say(
                f"Losses above {FACTOR} times tuned {REFERENCE}'s after {row['steps']} steps: "
                + (", ".join(named) or "none")
            )
