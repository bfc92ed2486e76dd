"""Runs a measurement in a process of its own.

So its peak memory is its own, and its failure stays its own.
"""

import json
import os
import pathlib
import subprocess
import sys

MEASURE = "experiments.benchmark.measure"
REPOSITORY = pathlib.Path(__file__).parents[2]


def run(name, arguments, timeout):
    """Runs a function of `measure`.

    Args:
        name: of the function.
        arguments: JSON-able dict.
        timeout: seconds after which it is given up.

    Returns:
        What it returns; a failure is a dict with `error`.
    """
    try:
        finished = subprocess.run(
            [sys.executable, "-m", MEASURE, json.dumps({name: arguments})],
            cwd=REPOSITORY,
            env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"not done after --timeout={timeout} seconds"}
    if finished.returncode != 0:
        last_line = (finished.stderr.strip().splitlines() or ["nothing on stderr"])[-1]
        return {"error": f"exit code {finished.returncode}: {last_line}"}
    return json.loads(finished.stdout.splitlines()[-1])
