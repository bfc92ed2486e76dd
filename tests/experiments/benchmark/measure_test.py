"""Measurements in processes of their own, and the lines that tell of them."""

import numpy as np

from experiments.benchmark import few_shot, learned_optimizer, process

RUNTIME = {"device": "cpu", "intra_op": 1, "inter_op": 2}


def test_few_shot():
    settings = {**few_shot.REFERENCE, "contenders": ["graph", "bare"], "steps": 1, "updates": 10}
    settings["runtime"] = RUNTIME
    result = process.run("measure_few_shot", settings, timeout=300)
    assert "error" not in result, result
    assert all(len(seconds) == 10 for seconds in result["episode_seconds"].values())
    assert min(map(min, result["episode_seconds"].values())) > 0
    assert result["peak_mib"] > 100 > result["growth_mib"] >= 0
    rows = list(few_shot.table_rows("graph / bare", settings, result))
    assert [row.split()[2] for row in rows] == ["graph", "bare"]
    assert f"{np.median(result['episode_seconds']['bare']):.4f}" in rows[1]


def test_optimizer():
    arguments = {"hidden": 2, "steps": 3, "updates": 10, "runtime": RUNTIME}
    arguments["contenders"] = ["graph", "bare"]
    result = process.run("measure_optimizer", arguments, timeout=300)
    assert "error" not in result, result
    assert all(len(s) == 10 and min(s) > 0 for s in result["step_seconds"].values())
    text = learned_optimizer.row("name", result)
    assert f"bare {np.median(result['step_seconds']['bare']):.4f} s" in text


def test_recompute():
    arguments = {"hidden": 2, "steps": 3, "recompute": True, "updates": 10, "runtime": RUNTIME}
    result = process.run("measure_recompute", arguments, timeout=300)
    assert "error" not in result, result
    assert len(result["seconds"]) == 10 and min(result["seconds"]) > 0
    assert 0 <= result["run_mib"] < result["peak_mib"]
    assert f"(peak {result['peak_mib']:.0f})" in learned_optimizer.row("name", result)


def test_pipeline():
    arguments = {"episodes": 20, "runtime": RUNTIME}
    assert process.run("measure_pipeline", arguments, timeout=300)["episodes_per_second"] > 0


def test_a_failed_measurement_is_told():
    result = process.run("measure_few_shot", {"contenders": ["graph"]}, timeout=300)
    assert "missing" in result["error"]
    (row,) = few_shot.table_rows("", few_shot.REFERENCE, result)
    assert "FAILED: exit code 1" in row
    assert "FAILED: exit code 1" in learned_optimizer.row("name", result)


def test_a_measurement_that_takes_too_long_is_given_up():
    result = process.run("measure_pipeline", {"episodes": 20, "runtime": RUNTIME}, timeout=0.1)
    assert "--timeout=0.1" in result["error"]
