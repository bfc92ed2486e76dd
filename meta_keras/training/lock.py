"""A run's folder is for one training at a time."""

import contextlib
import os
import pathlib

from meta_keras.errors import RunInUse

try:
    import fcntl
except ImportError:  # Where there are no such locks, runs go without.
    fcntl = None

LOCK_FILE = "run.lock"


@contextlib.contextmanager
def locked(folder):
    """Holds the lock of a run's folder.

    The system keeps the lock, not the file's being there: it ends with the process that holds it,
    however that ends. Where a file system has no locks, nothing is locked.

    Args:
        folder: path of a folder that exists.

    Raises:
        RunInUse: another process, or this one, holds it already.
    """
    if fcntl is None:
        yield
        return
    with open(pathlib.Path(folder) / LOCK_FILE, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read(100).strip() or "another process"
            raise RunInUse(
                f"logdir={folder} is in use by {holder}, which is training there. Name another "
                "`logdir`, or wait until it has ended."
            ) from error
        except OSError:
            yield
            return
        with contextlib.suppress(OSError):  # Who holds it is only told on a disk with room.
            file.truncate(0)
            file.write(f"process {os.getpid()}")
            file.flush()
        yield


def refuse_if_locked(folder):
    """Raises `RunInUse` if a run's folder is locked; makes nothing where there is none."""
    if (pathlib.Path(folder) / LOCK_FILE).exists():
        with locked(folder):
            pass
