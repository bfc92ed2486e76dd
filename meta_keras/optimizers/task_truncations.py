"""The data sets that a `TaskSetTrainer` is trained and validated on."""

import numpy as np
import tensorflow as tf

from meta_keras.errors import SettingError


def task_truncations(tasks, count, horizons, unroll_steps, seed=0, start=0, unknown=0.2):
    """The order of work on several tasks, whose truncations take turns.

    Truncation i is of task i mod `tasks`. Every task's optimizations follow each other; the length
    of each is drawn anew, and so is whether the optimizer is told of it:

        log N ~ U(log(shortest), log(longest)), a multiple of `unroll_steps`

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
        `step`, its steps so far; `horizon`, N; and `told`, N or 0.

    Raises:
        SettingError: a horizon is shorter than a truncation, or the longest shorter than the
            shortest.
    """
    shortest, longest = horizons
    whole = unroll_steps is None
    unroll_steps = unroll_steps or 1
    if not 1 <= unroll_steps <= shortest <= longest:
        raise SettingError(
            f"horizons={shortest},{longest} must be unroll_steps={unroll_steps} at least, and the "
            "second no shorter than the first."
        )
    total = start + count
    rows = np.zeros((total, 5), np.int64)
    for task in range(tasks):
        places = np.arange(task, total, tasks)
        rng = np.random.default_rng([seed, task])
        done, number = 0, 0
        while done < len(places):
            log = rng.uniform(np.log(shortest), np.log(longest))
            parts = max(1, round(np.exp(log) / unroll_steps))
            horizon = parts * unroll_steps
            told = 0 if rng.uniform() < unknown else horizon
            parts = 1 if whole else parts
            for part, place in enumerate(places[done : done + parts]):
                optimization = seed * 1_000_000_007 + number * tasks + task
                rows[place] = task, optimization, part * unroll_steps, horizon, told
            done, number = done + parts, number + 1
    names = ("task", "seed", "step", "horizon", "told")
    columns = {name: rows[start:, [n]] for n, name in enumerate(names)}
    return tf.data.Dataset.from_tensor_slices(columns)


def task_validation(tasks, seeds, horizons):
    """The data set of fresh optimizations for the validation of a `TaskSetTrainer`.

    Args:
        tasks: how many there are.
        seeds: the optimizations of every task, a list or range of ints.
        horizons: list of their lengths N; the seeds take them in turn.

    Returns:
        A `tf.data.Dataset` of dicts of int64 `[1]`: `task`, `seed`, `horizon`, N; and `told`, N or
        0: of every seed once the one and once the other.
    """
    runs = [(seed, horizons[number % len(horizons)]) for number, seed in enumerate(seeds)]
    rows = [(task, *run, told) for task in range(tasks) for run in runs for told in (run[1], 0)]
    names, columns = ("task", "seed", "horizon", "told"), np.array(rows, np.int64)
    return tf.data.Dataset.from_tensor_slices(
        {name: columns[:, [n]] for n, name in enumerate(names)}
    )
