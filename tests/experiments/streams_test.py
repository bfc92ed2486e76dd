"""Tests of standard streams that are closed, full, or cannot show all letters."""

import pathlib
import subprocess
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = """
import pathlib, sys
from experiments import streams
streams.set_up()
print("first", flush=True)
for number in range(3):
    print("日本", "\\udce4", "x" * 10_000, flush=True)
print("to nobody", file=sys.stderr)
pathlib.Path(sys.argv[1]).write_text(f"done, lost: {streams.lost()}")
"""


def run(tmp_path, shell, **environment):
    """`(exit code, output, errors, what the program has written)`, run with a shell's redirects."""
    file = tmp_path / "done"
    script = f'set -o pipefail; "$0" -c "$1" "$2" {shell}'
    done = subprocess.run(
        ["bash", "-c", script, sys.executable, PROGRAM, file],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr, file.read_text()


@pytest.mark.parametrize("shell", ["| head -1", ">&-", ">&- 2>&-", "2>&1 | head -1"])
def test_nobody_reads(tmp_path, shell):
    code, output, errors, written = run(tmp_path, shell, PYTHONUTF8="1")
    assert (code, written) == (0, "done, lost: None")
    assert output in (b"", b"first\n") and errors in (b"", b"to nobody\n")


def test_letters_that_cannot_be_shown(tmp_path):
    code, output, _, _ = run(tmp_path, "", PYTHONIOENCODING="ascii")
    assert code == 0 and rb"\u65e5\u672c \udce4" in output


def test_no_room_for_the_output(tmp_path):
    pathlib.Path("/dev/full").exists() or pytest.skip("no /dev/full")
    code, _, errors, written = run(tmp_path, "> /dev/full")
    assert (code, written) == (0, "done, lost: No space left on device")
    assert errors == b"to nobody\n"
