"""What tests of the programs share: runs of them in this process, and refusals."""

import contextlib
import os
import pathlib
import subprocess
import sys

import keras
import pytest
from absl import flags

from experiments import few_shot, program
from meta_keras.errors import UserError
from tests.own_photographs import COLOURS, OTHER, photograph

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def run(any_data, plain_runtime, eagerly):
    """Function `(logdir, *flags)` that runs the few-shot program; its results."""
    dataset, folder = any_data

    def run(logdir, *arguments):
        data = [f"--dataset={dataset}", f"--data_dir={folder}", f"--logdir={logdir}"]
        values = program.parse(few_shot.define_flags, [*data, *map(str, arguments)])
        return few_shot.main(values)

    return run


@pytest.fixture
def refuse(plain_runtime):
    """Function `(module, *flags)`: the message with which a program refuses its flags."""

    def refuse(module, *arguments):
        names = []
        with pytest.raises((flags.Error, UserError)) as error:
            values = program.parse(module.define_flags, list(map(str, arguments)))
            names = list(values)
            module.main(values)
        return program.in_flags(str(error.value), names)

    return refuse


@pytest.fixture(scope="session")
def call():
    """Function `(program, *arguments)`: the finished process of a program."""

    def call(name, *arguments):
        return subprocess.run(
            [sys.executable, "-m", f"experiments.{name}", *map(str, arguments)],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return call


@pytest.fixture(scope="session")
def succeed(call):
    """Function: the standard output of a program that must succeed."""

    def succeed(name, *arguments):
        done = call(name, *arguments)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return succeed


@pytest.fixture(scope="session")
def fail(call):
    """Function: the message of a program that must end as a user's mistake, without traceback."""

    def fail(name, *arguments):
        done = call(name, *arguments)
        assert done.returncode in (1, 2), done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        message = done.stderr[-1500:]
        assert message.count("\n") < 25
        return message

    return fail


@pytest.fixture
def start():
    """Function: a started process of a program; it is killed when the test ends."""
    with contextlib.ExitStack() as stack:

        def start(name, *arguments):
            process = subprocess.Popen(
                [sys.executable, "-m", f"experiments.{name}", *map(str, arguments)],
                cwd=REPOSITORY,
                env=os.environ,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.kill)
            stack.callback(process.stdout.close)
            return process

        yield start


@pytest.fixture(scope="session")
def backbone(tmp_path_factory):
    """Pixels 0..255, 8x8 in colour, to the mean of every channel and a few mixtures."""
    file = tmp_path_factory.mktemp("backbone") / "tiny.keras"
    keras.utils.set_random_seed(0)
    keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(6, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
        ]
    ).save(file)
    return str(file)


@pytest.fixture
def folders(tmp_path):
    """Three classes with three photographs each, four to classify, and four of no class."""
    for number, (name, colour) in enumerate({**COLOURS, **OTHER}.items()):
        for place in range(7):
            part = "query" if place >= 3 else "support"
            if name in OTHER and part == "support":
                continue
            file = tmp_path / part / name / f"{place}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            photograph(colour, 10 * number + place, (40 + place, 30)).save(file)
    return tmp_path
