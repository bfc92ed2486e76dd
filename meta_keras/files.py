"""What is written to disk: whole or not at all."""

import contextlib
import importlib.metadata
import json
import os
import pathlib
import platform
import tempfile

from meta_keras.errors import SettingError

PACKAGES = ("meta_keras", "tensorflow", "keras", "numpy", "tensorflow-datasets")


@contextlib.contextmanager
def replacing(target):
    """A path to write a file or a folder to, which takes the place of `target` once it is whole.

    A file is replaced at once; a folder is missing for as long as two renames take. If the body
    raises an error, or writing fails, `target` stays as it was.

    Args:
        target: path. Its folder must exist.
    """
    target = pathlib.Path(target)
    with tempfile.TemporaryDirectory(dir=target.parent, suffix=".tmp") as folder:
        new, old = (pathlib.Path(folder) / age for age in ("new", "old"))
        new.mkdir()
        part = new / target.name  # Its ending may decide its format.
        yield part
        if not part.is_dir() or not target.exists():
            os.replace(part, target)
            return
        target.rename(old)
        try:
            part.rename(target)
        except OSError:
            old.rename(target)
            raise


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
    """Writes a JSON file."""
    with replacing(file) as part:
        part.write_text(json.dumps(value, indent=1) + "\n")


def versions():
    """Versions of Python and of the packages that decide a result, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
