"""What is written to disk: whole or not at all; and what is read back, checked."""

import contextlib
import errno
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import tempfile

from meta_keras.errors import OutputError, SettingError, UserError

PACKAGES = ("meta_keras", "tensorflow", "keras", "numpy", "tensorflow-datasets")
# A disk that takes no more, by whatever limit; EDQUOT is not known everywhere.
FULL = tuple(
    os.strerror(getattr(errno, name))
    for name in ("ENOSPC", "EDQUOT", "EFBIG")
    if hasattr(errno, name)
)


@contextlib.contextmanager
def replacing(target):
    """A path to write a file or a folder to, which takes the place of `target` once it is whole.

    It is flushed to disk first, so that a machine that loses its power finds either the old or the
    new. A file is replaced at once; a folder is missing for as long as two renames take. If the
    body raises an error, or writing fails, `target` stays as it was.

    Args:
        target: path. Its folder must exist.

    Raises:
        OutputError: the disk is full, or the file cannot be written for another reason.
    """
    target = pathlib.Path(target)
    try:
        with tempfile.TemporaryDirectory(
            dir=target.parent, prefix="tmp", suffix=".tmp", ignore_cleanup_errors=True
        ) as folder:
            new, old = (pathlib.Path(folder) / age for age in ("new", "old"))
            new.mkdir()
            part = new / target.name  # Its ending may decide its format.
            yield part
            _flush(part)
            if not part.is_dir() or not target.exists():
                os.replace(part, target)
            else:
                target.rename(old)
                try:
                    part.rename(target)
                except OSError:
                    old.rename(target)
                    raise
            _flush_folder(target.parent)
    except Exception as error:
        own = error.strerror if isinstance(error, OSError) else None
        _raise_if_unwritable(target, error, own)
        raise


@contextlib.contextmanager
def naming_full_disk(folder):
    """Turns what a full disk raises, of whatever class, into an error that names the folder.

    Args:
        folder: path that the body writes to.

    Raises:
        OutputError: the disk is full.
    """
    try:
        yield
    except Exception as error:
        _raise_if_unwritable(folder, error)
        raise


def _raise_if_unwritable(path, error, reason=None):
    """Raises `OutputError` for a reason, by default for that of a full disk, if it is one.

    TensorFlow's errors tell it in their text only, and closing what could not be written may
    raise a second error that hides the first.
    """
    if isinstance(error, UserError):
        return
    cause = error
    while reason is None and cause is not None:
        reason = next((full for full in FULL if full in str(cause)), None)
        cause = cause.__cause__ or cause.__context__
    if reason:
        raise OutputError(
            f"{path} cannot be written: {reason}. What was written before is whole: once there "
            "is room, the same command goes on."
        ) from error


def _flush(path):
    """Flushes a file, or a folder with all that is in it, to disk."""
    if path.is_dir():
        for inner in path.iterdir():
            _flush(inner)
        _flush_folder(path)
        return
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder):
    """Flushes the names in a folder to disk, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def move(source, target):
    """Renames a file that is on disk already, durably; `target` is replaced."""
    os.replace(source, target)
    _flush_folder(pathlib.Path(target).parent)


def remove_stubs(folder):
    """Removes what killed processes left of things that they were `replacing` in a folder."""
    for stub in pathlib.Path(folder).glob("tmp*.tmp"):
        shutil.rmtree(stub, ignore_errors=True)


def writable_folder(name, path):
    """Makes a folder if need be, and makes sure that files can be written to it.

    Args:
        name: of the argument it was given with, for the message.
        path: path.

    Returns:
        The folder, a `pathlib.Path`.

    Raises:
        SettingError: the folder cannot be written.
    """
    folder = pathlib.Path(path).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SettingError(f"{name}={path} cannot be written: {error.strerror}.") from error
    return folder


def write_json(file, value):
    """Writes a JSON file; raises `OutputError` where it cannot be written."""
    with replacing(file) as part:
        part.write_text(json.dumps(value, indent=1) + "\n")


def read_json(file):
    """The dict in a JSON file.

    Raises:
        ValueError: the file holds something else; the message says what.
        OSError: the file cannot be read.
    """
    try:
        value = json.loads(pathlib.Path(file).read_text())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("it is not a table")
    return value


def versions():
    """Versions of Python and of the packages that decide a result, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
