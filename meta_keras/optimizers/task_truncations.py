"""The data sets that a `TaskSetTrainer` is trained and validated on."""

import operator

import numpy as np
import tensorflow as tf

from meta_keras.arguments import real
from meta_keras.errors import SettingError


def task_truncations(tasks, count, horizons, unroll_steps, seed=0, start=0, unknown=0.2):
    """The order of work on several tasks, whose truncations take turns.

    Truncation i is of task i mod `tasks`. Every task's optimizations follow each other; the length
    of each is drawn anew, and so is whether the optimizer is told of it:

        log N ~ U(log(shortest), log(longest)), N the nearest multiple of `unroll_steps` there

    All of it is a pure function of `(seed, i)`, so that a run can resume exactly.

    Args:
        tasks: how many there are.
        count: number of truncations.
        horizons: `(shortest, longest)` length of an optimization.
        unroll_steps: length of a truncation; None: every row is a whole optimization.
        seed: names the stream.
        start: number of the first truncation.
        unknown: share of optimizations whose length the optimizer is not told.

    Returns:
        A `tf.data.Dataset` of dicts of int64 `[1]`: `task`, its number; `seed`, the optimization;
        `step`, its steps so far; `horizon`, N; `told`, N or 0; and `unroll_steps`, which tells the
        trainer what the truncations were made for, 0 for None.

    Raises:
        SettingError: an argument is out of range, a horizon is shorter than a truncation, or no
            multiple of `unroll_steps` lies between them.
    """
    tasks, count = _integer("tasks", tasks, 1), _integer("count", count, 0)
    seed, start = _integer("seed", seed, 0), _integer("start", start, 0)
    length = 1 if unroll_steps is None else _integer("unroll_steps", unroll_steps, 1)
    (shortest, longest), (fewest, most) = _horizons(horizons, length)
    if not 0 <= real(unknown) <= 1:
        raise SettingError(f"unknown={unknown!r} must be a share, from 0 to 1.")
    total = start + count
    rows = np.zeros((total, 6), np.int64)
    for task in range(tasks):
        places = np.arange(task, total, tasks)
        rng = np.random.default_rng([seed, task])
        done, number = 0, 0
        while done < len(places):
            log = rng.uniform(np.log(shortest), np.log(longest))
            parts = int(np.clip(round(np.exp(log) / length), fewest, most))
            horizon = parts * length
            told = 0 if rng.uniform() < unknown else horizon
            parts = 1 if unroll_steps is None else parts
            for part, place in enumerate(places[done : done + parts]):
                optimization = seed * 1_000_000_007 + number * tasks + task
                rows[place] = task, optimization, part * length, horizon, told, unroll_steps or 0
            done, number = done + parts, number + 1
    return _dataset(rows[start:], "task", "seed", "step", "horizon", "told", "unroll_steps")


def task_validation(tasks, seeds, horizons):
    """The data set of fresh optimizations for the validation of a `TaskSetTrainer`.

    Args:
        tasks: how many there are.
        seeds: the optimizations of every task, a list or range of ints.
        horizons: list of their lengths N; the seeds take them in turn.

    Returns:
        A `tf.data.Dataset` of dicts of int64 `[1]`: `task`, `seed`, `horizon`, N; and `told`, N or
        0: of every seed once the one and once the other.

    Raises:
        SettingError: an argument is out of range, or there are no seeds or no horizons.
    """
    tasks = _integer("tasks", tasks, 1)
    seeds, horizons = _integers("seeds", seeds), _integers("horizons", horizons, 1)
    runs = [(seed, horizons[number % len(horizons)]) for number, seed in enumerate(seeds)]
    rows = [(task, *run, told) for task in range(tasks) for run in runs for told in (run[1], 0)]
    return _dataset(np.array(rows, np.int64), "task", "seed", "horizon", "told")


def _dataset(rows, *names):
    """The data set of int64 `[rows, names]`, of dicts of `[1]`."""
    return tf.data.Dataset.from_tensor_slices(
        {name: rows[:, [number]] for number, name in enumerate(names)}
    )


def _horizons(horizons, length):
    """`(shortest, longest)`, and how many truncations of a length they have at least and most."""
    found = _integers("horizons", horizons, 1)
    if len(found) != 2 or not length <= found[0] <= found[1]:
        raise SettingError(
            f"horizons={horizons!r} must be the shortest length, unroll_steps={length} at least, "
            "and the longest."
        )
    fewest, most = -(-found[0] // length), found[1] // length
    if fewest > most:
        raise SettingError(
            f"horizons={horizons!r}: there is no multiple of unroll_steps={length} from the first "
            "to the second."
        )
    return found, (fewest, most)


def _integers(name, values, least=None):
    """A list or range of integers, as a list; not empty."""
    if not np.ndim(values) or not len(values):
        raise SettingError(f"{name}={values!r} must be a list of integers, not empty.")
    return [_integer(name, value, least) for value in values]


def _integer(name, value, least=None):
    """An integer, `least` at least."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or (least is not None and number < least):
        above = "" if least is None else f", {least} at least"
        raise SettingError(f"{name}={value!r} must be an integer{above}.")
    return number
