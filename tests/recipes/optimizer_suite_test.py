"""Tests of the test of an optimizer for any network."""

import numpy as np
import pytest

from meta_keras import files, recipes
from meta_keras.layers import CorrectedAdam
from meta_keras.optimizers import courses
from meta_keras.recipes import optimizer_suite
from meta_keras.training import tables
from tests.optimizers.courses_test import line_task


@pytest.fixture
def suite(tmp_path, monkeypatch, eagerly):
    """Function `(cell)`: results, and the names of the optimizers that had to run for them."""
    recipe = recipes.recipe("corrected_adam", suite=True, suite_runs=2, suite_steps=(3, 5))
    tasks, ran, told = {"one": line_task(), "other": line_task()}, [], []
    names = ("Adam", "Adam, cosine", "Adam, default")
    few = {name: courses.BASELINES[name] for name in names}
    monkeypatch.setattr(courses, "BASELINES", few)
    monkeypatch.setattr(courses, "RATES", (1e-3, 2e-2))
    trainings = courses.trainings

    def counted(task, optimizer, *arguments):
        ran.append(type(optimizer).__name__)
        return trainings(task, optimizer, *arguments)

    monkeypatch.setattr(courses, "trainings", counted)
    monkeypatch.setattr(tables, "say", lambda *lines, stream=None: told.extend(lines))

    def run(cell):
        ran.clear()
        told.clear()
        found = optimizer_suite.run(recipe, tasks, cell, tmp_path, told.append)
        return found, list(ran), "\n".join(told)

    return run


def make_cell(rate=0.05):
    cell = CorrectedAdam(rate=rate)
    cell.build_once()
    return cell


def test_rows_and_what_is_kept(suite, tmp_path):
    found, ran, told = suite(make_cell())
    assert len(found["rows"]) == 2 * (3 + 2) * 2  # tasks, optimizers, steps
    assert ran.count("Adam") == 2 * 3 * 2 and ran.count("LearnedOptimizer") == 2 * 2 * 2
    losses = {}
    for row in found["rows"]:
        assert len(row["training_loss"]) == len(row["held_out_loss"]) == 2
        tuned = row["optimizer"] in ("Adam", "Adam, cosine")
        assert (row["learning_rate"] in (1e-3, 2e-2)) == tuned
        if tuned:
            assert row["grid"][f"{row['learning_rate']:g}"] == min(row["grid"].values())
        losses[row["optimizer"], row["steps"]] = row["training_loss"]
    for steps in (3, 5):
        assert losses[optimizer_suite.LEARNED, steps] != losses[optimizer_suite.NO_STEPS, steps]
    assert (
        "one: 3 steps" in told
        and "times tuned Adam's after 5 steps: " in told
        and (tmp_path / "suite.png").exists()
    )

    again, ran, _ = suite(make_cell())
    assert ran == [] and again == found
    kept = files.read_json(tmp_path / "suite.json")
    kept["tasks"]["other"]["task"]["batch_size"] += 1  # Another task than now.
    files.write_json(tmp_path / "suite.json", kept)
    other, ran, _ = suite(make_cell(0.01))
    assert ran.count("Adam") == 3 * 2 and ran.count("LearnedOptimizer") == 2 * 2 * 2
    assert other["rows"][0] == found["rows"][0] and other["rows"] != found["rows"]


def row(task, optimizer, *losses):
    return {"task": task, "optimizer": optimizer, "steps": 9, "training_loss": list(losses)}


def test_summary_by_hand(monkeypatch):
    monkeypatch.setattr(courses, "BASELINES", {"Adam": None})
    rows = []
    for task, own, other in (
        ("far better", (1.0, 1.1), (2.0, 2.1)),
        ("overlapping", (1.0, 2.0), (1.2, 1.3)),
        ("worse", (3.0, 3.1), (2.0, 2.1)),
        ("diverged", (np.inf, 1.0), (2.0, 2.1)),
        ("wide", (0.0, 0.9), (3e-4, 3e-4)),
        ("nothing left", (0.0, 0.0), (0.0, 0.0)),
        ("only the other diverged", (1.0, 1.1), (np.inf, np.inf)),
    ):
        names = {optimizer_suite.LEARNED: own, optimizer_suite.NO_STEPS: other, "Adam": other}
        rows += [row(task, name, *losses) for name, losses in names.items()]
    told, untold = optimizer_suite.summary(rows, [9])
    assert (told["better"], told["as_good"], told["worse"]) == (2, 3, 2)
    assert (told["factor"], told["worst"]) == (None, "diverged")
    # Whatever the intervals say.
    assert set(told["failures"]) == {"worse", "diverged", "wide"}
    assert told["failures"]["wide"] == pytest.approx(1500, rel=0.01)
    assert (untold["better"], untold["as_good"], untold["factor"]) == (0, 6, None)
    assert set(untold["failures"]) == {"only the other diverged"}


def test_what_is_damaged_or_of_another_protocol_is_not_kept(tmp_path):
    file, whole = tmp_path / "suite.json", {"task": {}, "baselines": [], "learned": None}
    files.write_json(file, {"runs": 2, "tasks": {"whole": whole, "damaged": {"task": {}}}})
    assert optimizer_suite._kept(file, {"runs": 2}) == {"whole": whole}
    assert optimizer_suite._kept(file, {"runs": 3}) == {}
    files.write_json(file, {"runs": 2})
    assert optimizer_suite._kept(file, {"runs": 2}) == {}
