"""Two workers with half of every meta-batch each learn what one process learns with all of it."""

import json
import pathlib
import socket
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
ROUNDING = 2e-6  # of weights of size 1; one sum is of two halves


def test_two_devices_learn_as_one_process(environment, tmp_path):
    done = subprocess.run(
        [sys.executable, str(HERE / "two_workers.py"), str(tmp_path), "mirrored"],
        env={**environment, "PYTHONPATH": str(HERE.parents[1])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    apart = json.loads(done.stdout.splitlines()[-1])
    assert sorted(apart) == ["optimizer", "prototypical"]
    assert max(apart.values()) < ROUNDING, apart


def start_two(arguments, environment):
    with socket.socket() as first, socket.socket() as second:
        places = []
        for server in (first, second):
            server.bind(("localhost", 0))
            places.append(f"localhost:{server.getsockname()[1]}")
    processes = []
    for number in range(2):
        task = {"type": "worker", "index": number}
        config = {"cluster": {"worker": places}, "task": task}
        processes.append(
            subprocess.Popen(
                [sys.executable, str(HERE / "two_workers.py"), *arguments],
                env={
                    **environment,
                    "TF_CONFIG": json.dumps(config),
                    "PYTHONPATH": str(HERE.parents[1]),
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        outputs = [process.communicate(timeout=600) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [
        (process.returncode, *output) for process, output in zip(processes, outputs, strict=True)
    ]


@pytest.fixture(scope="module")
def ended(environment, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("runs"))
    died = start_two([folder, "die"], environment)
    return died, start_two([folder], environment)


def test_two_workers_learn_as_one_process(ended):
    (code, output, errors), _ = ended[0]
    assert code == 0, errors[-3000:]
    apart = json.loads(output.splitlines()[-1])
    assert sorted(apart) == ["lstm", "optimizer", "prototypical", "reptile"]
    assert max(apart.values()) < ROUNDING, apart


def test_a_killed_worker_is_missed_in_words_and_the_same_command_goes_on(ended):
    (_, _, errors), (killed, _, _) = ended[0]
    assert killed == -9
    assert "Another worker has ended" in errors
    (code, output, errors), (other, _, other_errors) = ended[1]
    assert code == 0, errors[-3000:]
    assert other == 0, other_errors[-3000:]
    assert json.loads(output.splitlines()[-1])["killed"] < ROUNDING
