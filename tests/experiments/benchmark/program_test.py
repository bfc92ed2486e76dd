"""The benchmark's flags, its requirements and its report; nothing is measured."""

import importlib
import json
import pkgutil
import re
import subprocess
import sys

import pytest
from absl import flags

import experiments.benchmark
from experiments.benchmark import __main__ as program
from experiments.benchmark import process
from experiments.benchmark.options import QUICK, Options


def _options(*arguments):
    flag_values = flags.FlagValues()
    program.define_flags(flag_values)
    flag_values(["benchmark", *arguments])
    return program.options_of(flag_values)


def test_importing_defines_no_flags():
    names = [info.name for info in pkgutil.iter_modules(experiments.benchmark.__path__)]
    assert {"__main__", "measure", "options"} <= set(names)
    for name in names:
        importlib.import_module(f"experiments.benchmark.{name}")
    assert "memory_updates" not in flags.FLAGS


def test_options():
    assert _options() == Options()
    quick = _options("--quick", "--updates=30", "--orders=1,2", "--subject=optimizer")
    expected = {"quick": True, **QUICK, "updates": 30, "orders": (1, 2), "subject": "optimizer"}
    assert quick == Options(**expected)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("steps", "4,0"),
        ("steps", "many"),
        ("steps", ""),
        ("meta_batches", "-1"),
        ("orders", "3"),
        ("modes", "graph,fast"),
        ("updates", "0"),
        ("memory_updates", "-5"),
        ("output", "/no/such/folder/report.json"),
    ],
)
def test_a_bad_flag_is_refused_by_name_and_value(flag, value):
    with pytest.raises(flags.IllegalFlagValueError, match=f"--{flag}=") as refused:
        _options(f"--{flag}={value}")
    assert all(part in str(refused.value) for part in value.split(","))


@pytest.mark.parametrize(("argument", "told"), [("--orders=3", "1, 2 or 1,2"), ("more", "more")])
def test_the_program_refuses_without_a_traceback(argument, told):
    finished = subprocess.run(
        [sys.executable, "-m", "experiments.benchmark", argument],
        cwd=process.REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert finished.returncode == 1
    output = finished.stdout + finished.stderr
    assert told in output and "Traceback" not in output


def _result(function, settings, good):
    """What a measurement gives: numbers that just meet or just miss every requirement."""
    if function == "measure_pipeline":
        return {"episodes_per_second": 510.0 if good else 990.0}
    if function == "measure_recompute":
        memory, seconds = (32.0, 1.55) if good else (35.0, 1.65)
        if not settings["recompute"]:
            memory, seconds = 100.0, 1.0
        return {"run_mib": memory, "seconds": [seconds], "peak_mib": 200.0}
    if function == "measure_few_shot":
        t = settings["steps"]
        # The fastest is T=1, 0.02 or 0.01 s: the pipeline delivers 10.2 or 9.9 times as much.
        graph, eager = (0.01 + 0.01 * t, 4.1) if good else (0.01 * t**3, 3.9)
    else:
        size = settings["hidden"] * settings["steps"] / 400
        graph, eager = (size, 2.1) if good else (size**3, 1.9)
    factors = {"bare": 0.88 if good else 0.86, "eager": eager}
    seconds = {
        name: [factors.get(name, 1.0) * s for s in (graph, graph)]
        for name in settings["contenders"]
    }
    return {
        "episode_seconds" if function == "measure_few_shot" else "step_seconds": seconds,
        "first_call_seconds": dict.fromkeys(seconds, 1.0),
        "growth_mib": 31.0 if good else 33.0,
        "peak_mib": 500.0,
    }


@pytest.mark.parametrize("good", [True, False])
def test_requirements_and_report(good, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(process, "run", lambda name, settings, _: _result(name, settings, good))
    file = tmp_path / "report.json"
    options = Options(modes=("graph",), orders=(1,), steps=(1, 4, 8), output=str(file))
    assert program.benchmark(options) == 0
    printed = capsys.readouterr().out
    assert len(re.findall("^ok " if good else "^NOT met ", printed, re.MULTILINE)) == 10, printed
    assert "not measured" not in printed
    report = json.loads(file.read_text())
    assert [requirement["met"] for requirement in report["requirements"]] == [good] * 10
    assert report["flags"]["steps"] == [1, 4, 8]
    measured = report["measurements"]
    assert measured["graph / bare, order 1, T=8, meta-batch 1"]["settings"]["updates"] == 30
    assert {"memory", "episode pipeline", "100 steps stored"} <= set(measured)


@pytest.mark.parametrize("subject", ["few_shot", "optimizer"])
def test_failures_are_told_and_leave_requirements_open(subject, monkeypatch, capsys):
    monkeypatch.setattr(process, "run", lambda *_: {"error": "out of memory"})
    assert program.benchmark(Options(subject=subject, quick=True)) == 1
    printed = capsys.readouterr().out
    assert "FAILED: out of memory" in printed
    assert "The other requirements were not measured." in printed
    assert ("learned optimizer" in printed) == (subject == "optimizer")
    assert ("episode pipeline" in printed) == (subject == "few_shot")
