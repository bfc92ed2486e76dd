"""Tests of the lock of a run's folder: one training at a time, and nothing left behind."""

import errno
import subprocess
import sys
import types

import pytest

from meta_keras.errors import RunInUse
from meta_keras.training import lock
from meta_keras.training.run_folder import opened

HOLD = """
import fcntl, sys, time
file = open(sys.argv[1], "a+")
fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(100)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of the folder `run`, where a run has begun."""
    folder = tmp_path / "run"
    with opened(folder, {"steps": 5}):
        (folder / "checkpoints" / "000001").mkdir(parents=True)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder / lock.LOCK_FILE], stdout=subprocess.PIPE
    )
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_refused_until_the_first_is_killed(holder, tmp_path):
    folder = tmp_path / "run"
    stub = folder / "tmpabcdefgh.tmp"
    stub.mkdir()
    with pytest.raises(RunInUse, match=r"logdir=.*run is in use by process \d+"):
        lock.refuse_if_locked(folder)
    with pytest.raises(RunInUse), opened(folder, {"steps": 5}):
        pass
    assert stub.exists()  # It may be what the other is writing.
    holder.kill()
    holder.wait()
    lock.refuse_if_locked(folder)
    with opened(folder, {"steps": 5}):
        assert not stub.exists()


def test_reading_goes_on_beside_it_and_disturbs_nothing(holder, tmp_path):
    folder, said = tmp_path / "run", []
    stub = folder / "checkpoints" / "tmpabcdefgh.tmp"
    stub.mkdir()
    with opened(folder, {"steps": 5}, reading=True, say=said.append):
        assert stub.exists()
    assert "Another process is training" in said[0]


def test_a_run_without_a_checkpoint_is_not_read_nor_taken(holder, tmp_path):
    folder = tmp_path / "run"
    (folder / "checkpoints" / "000001").rmdir()
    with pytest.raises(RunInUse), opened(folder, {"steps": 6}, reading=True):
        pass
    assert '"steps": 5' in (folder / "flags.json").read_text()


def test_the_same_process_is_refused_too_and_errors_let_go(tmp_path):
    with pytest.raises(ZeroDivisionError), lock.locked(tmp_path):
        with pytest.raises(RunInUse, match="wait until it has ended"), lock.locked(tmp_path):
            pass
        raise ZeroDivisionError
    with lock.locked(tmp_path):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_file_systems_without_locks(tmp_path, monkeypatch, number):
    tried, entered = [], []

    def flock(*_):
        tried.append(number)
        raise OSError(number, "no locks here")

    monkeypatch.setattr(lock, "fcntl", types.SimpleNamespace(flock=flock, LOCK_EX=2, LOCK_NB=4))
    with lock.locked(tmp_path):
        entered.append(number)
    assert tried == entered == [number]


def test_systems_without_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "fcntl", None)
    with lock.locked(tmp_path):
        assert not list(tmp_path.iterdir())


def test_nothing_is_made_where_there_is_nothing(tmp_path):
    lock.refuse_if_locked(tmp_path / "none")
    assert not list(tmp_path.iterdir())
