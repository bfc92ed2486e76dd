"""Tests of the command line that classifies a user's own pictures."""

import csv
import os
import pathlib
import resource
import subprocess
import sys

import pytest
from PIL import Image

from experiments import program
from meta_keras.data import glyphs

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
CLASSES = ("alpha", "beta", "gamma")


@pytest.fixture
def folders(tmp_path):
    """Three classes with one example each, two query pictures of every class."""
    strokes, counts = glyphs.character_programs(0, 40)
    for number, name in enumerate(CLASSES):
        for drawer, folder in enumerate(("support", "query", "query")):
            file = tmp_path / folder / name / f"{drawer}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            character = 7 * number
            drawing = glyphs.draw(strokes[character, : counts[character]], 0, character, drawer)
            Image.fromarray(drawing).save(file)
    return tmp_path


@pytest.fixture
def call(folders):
    """Function `(*flags)` that runs the program in a process of its own."""

    def call(*arguments, limits=None):
        paths = [f"--{name}={folders / name}" for name in ("support", "query", "output")]
        command = [sys.executable, "-m", "experiments.classify", *paths, *arguments]
        return subprocess.run(
            command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, preexec_fn=limits
        )

    return call


def test_output_and_exit_code(folders, call):
    (folders / "query" / "broken.png").write_bytes(b"nonsense")
    done = call()
    assert done.returncode == 3, done.stderr[-2000:]
    assert f"Skipped {folders / 'query' / 'broken.png'}: damaged" in done.stderr
    assert done.stderr.endswith("1 files could not be read, see above.\n")
    output = folders / "output"
    assert done.stdout.splitlines()[-3:] == [
        "6 pictures, 3 classes: ['alpha', 'beta', 'gamma'].",
        "Accuracy 100.00% over the 6 pictures in folders of classes.",
        f"Predictions: {output / 'predictions.csv'}; pictures: {output / 'contact_sheet.png'}",
    ]
    with open(output / "predictions.csv", newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 6


def test_full_disk(folders, call):
    """No file grows beyond 4 KB: nothing new is written, and what was there stays."""
    (folders / "output").mkdir()
    (folders / "output" / "predictions.csv").write_text("of before")
    os.mkfifo(folders / "query" / "pipe.png")  # It is not waited for.
    done = call(limits=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
    assert done.returncode == 2, done.stderr[-2000:]
    assert f"Skipped {folders / 'query' / 'pipe.png'}: not a regular file." in done.stderr
    words = f"UsageError: --output={folders / 'output'} cannot be written: File too large."
    assert words in done.stderr and "Traceback" not in done.stderr
    assert [file.read_text() for file in (folders / "output").iterdir()] == ["of before"]


def test_errors_name_flags(folders, call):
    done = call(f"--support={folders / 'nowhere'}")
    assert done.returncode == 2
    assert f"DatasetError: --support={folders / 'nowhere'} is not a folder." in done.stderr
    done = call("--preset=lstm_omniglot_5way_1shot")
    assert done.returncode == 2
    assert (
        "UsageError: --support has 3 classes, but --preset=lstm_omniglot_5way_1shot tells "
        "exactly 5 apart."
    ) in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folders / "output").exists()
    assert call("--nonsense").returncode == 1


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("support=/a has one class", "--support=/a has one class"),
        ("class 'x' of `support` has none", "class 'x' of --support has none"),
        ("output=/a lies in query=/b", "--output=/a lies in --query=/b"),
        ("already --query=/a", "already --query=/a"),
        ("my_query=1, requery=2, `other`, query", "my_query=1, requery=2, `other`, query"),
    ],
)
def test_arguments_become_flags(message, expected):
    assert program.in_flags(message, ["?", "support", "query", "output"]) == expected
