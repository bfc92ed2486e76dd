"""Tests of what importing the package loads."""

import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent


@pytest.mark.parametrize("mode", ["blocked", "free"])
def test_import(mode):
    done = subprocess.run(
        [sys.executable, HERE / "imports.py", mode],
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
