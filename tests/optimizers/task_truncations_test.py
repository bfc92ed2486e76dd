"""Tests of the data sets that a `TaskSetTrainer` is trained and validated on."""

import numpy as np
import pytest

from meta_keras.errors import SettingError
from meta_keras.optimizers import task_truncations, task_validation


def test_validation_with_and_without_the_length():
    rows = [
        tuple(int(row[name][0]) for name in ("task", "seed", "horizon", "told"))
        for row in task_validation(2, [-7, -8, -9], [10, 50]).as_numpy_iterator()
    ]
    every = [(-7, 10, 10), (-7, 10, 0), (-8, 50, 50), (-8, 50, 0), (-9, 10, 10), (-9, 10, 0)]
    assert rows == [(task, *run) for task in (0, 1) for run in every]


def test_truncations_are_a_pure_function_of_their_number():
    def rows(dataset):
        return [{k: int(v[0]) for k, v in row.items()} for row in dataset.as_numpy_iterator()]

    found = rows(task_truncations(3, 600, (40, 400), 20, seed=2))
    assert found[123:500] == rows(task_truncations(3, 377, (40, 400), 20, seed=2, start=123))
    assert found != rows(task_truncations(3, 600, (40, 400), 20, seed=3))
    assert [row["task"] for row in found[:7]] == [0, 1, 2, 0, 1, 2, 0]
    before, lengths = {}, []
    for row in found:
        last = before.get(row["task"])
        if last and last["step"] + 20 < last["horizon"]:
            assert row == {**last, "step": last["step"] + 20}
        else:
            assert row["step"] == 0 and row["seed"] not in {r["seed"] for r in before.values()}
            lengths.append((row["horizon"], row["told"]))
        before[row["task"]] = row
    horizons = np.array([horizon for horizon, _ in lengths])
    assert horizons.min() >= 40 and horizons.max() <= 400 and not (horizons % 20).any()
    # Log-uniform: half of them below the geometric mean of the ends.
    assert 0.3 < np.mean(horizons < np.sqrt(40 * 400)) < 0.7
    assert {told for horizon, told in lengths} == {0, *horizons[[told > 0 for _, told in lengths]]}


@pytest.mark.parametrize(("length", "allowed"), [(20, {40, 60, 80}), (7, set(range(35, 82, 7)))])
def test_lengths_lie_between_the_shortest_and_the_longest(length, allowed):
    """Also where the nearest multiple of `unroll_steps` does not: 28 and 84 are, of 30 and 81."""
    rows = task_truncations(1, 400, (30, 81), length).as_numpy_iterator()
    assert {int(row["horizon"][0]) for row in rows} == allowed


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tasks": 0}, "tasks=0 must be an integer, 1 at least"),
        ({"tasks": -1}, "tasks=-1"),
        ({"count": -1}, "count=-1 must be an integer, 0 at least"),
        ({"unroll_steps": 0}, "unroll_steps=0"),
        ({"unroll_steps": 2.5}, "unroll_steps=2.5"),
        ({"unroll_steps": True}, "unroll_steps=True"),
        ({"horizons": (10, 20.5)}, "horizons=20.5"),
        ({"horizons": (10,)}, r"horizons=\(10,\) must be the shortest"),
        ({"horizons": []}, r"horizons=\[\] must be a list"),
        ({"horizons": 10}, "horizons=10 must be a list"),
        ({"horizons": (100, 40)}, "the shortest"),
        ({"horizons": (4, 40)}, "unroll_steps=5 at least"),
        ({"horizons": (7, 9)}, "no multiple of unroll_steps=5"),
        ({"unknown": 2}, "unknown=2 must be a share"),
        ({"unknown": "half"}, "unknown='half'"),
        ({"start": -3}, "start=-3"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_bad_truncations(given, message):
    with pytest.raises(SettingError, match=message):
        task_truncations(
            **{"tasks": 2, "count": 3, "horizons": (5, 10), "unroll_steps": 5, **given}
        )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((0, [1], [4]), "tasks=0"),
        ((2, [], [4]), r"seeds=\[\] must be a list of integers, not empty"),
        ((2, [1.5], [4]), "seeds=1.5 must be an integer[.]"),
        ((2, [1], []), r"horizons=\[\]"),
        ((2, [1], [-4]), "horizons=-4 must be an integer, 1 at least"),
    ],
)
def test_bad_validation(given, message):
    with pytest.raises(SettingError, match=message):
        task_validation(*given)
