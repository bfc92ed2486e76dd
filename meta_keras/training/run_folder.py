"""The folder of a run: it belongs to one set of settings, which stand in it."""

import json
import pathlib

from meta_keras.errors import SettingError
from meta_keras.files import writable_folder, write_json

SETTINGS_FILE = "flags.json"


def saved_settings(logdir):
    """The settings of the run in a folder, or None if none has got as far as a checkpoint.

    Raises:
        SettingError: the file with the settings is damaged.
    """
    folder = pathlib.Path(logdir).expanduser()
    file = folder / SETTINGS_FILE
    if not file.exists() or not any((folder / "checkpoints").glob("[0-9]*")):
        return None
    try:
        saved = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise SettingError(f"{file} is damaged ({error}); name another `logdir`.") from error
    if not isinstance(saved, dict):
        raise SettingError(f"{file} is damaged (it is not a table); name another `logdir`.")
    return saved


def open_run(logdir, settings, resume=True):
    """Makes a run's folder, or checks that an existing one is of the same run.

    Args:
        logdir: path.
        settings: JSON-able dict of everything that decides the run's result.
        resume: whether an existing run may be continued.

    Returns:
        The folder, a `pathlib.Path`.

    Raises:
        SettingError: the folder cannot be written, belongs to something else, or to a run with
            other settings.
    """
    folder = writable_folder("logdir", logdir)
    file = folder / SETTINGS_FILE
    saved = saved_settings(folder)
    if saved is None:
        others = sorted(path.name for path in folder.iterdir() if not path.name.endswith(".tmp"))
        if others and not file.exists():
            raise SettingError(
                f"logdir={logdir} is not empty and not a run (it has {', '.join(others[:3])}). "
                "Name another folder."
            )
        write_json(file, settings)
        return folder
    differences = [
        f"  {name}: {saved.get(name)!r} there, {settings.get(name)!r} now"
        for name in sorted(set(saved) | set(settings))
        if _plain(saved.get(name)) != _plain(settings.get(name))
    ]
    if differences:
        raise SettingError(
            f"logdir={logdir} holds a run with other settings:\n"
            + "\n".join(differences)
            + "\nName another `logdir`, or use the same settings to continue it."
        )
    if not resume:
        raise SettingError(
            f"logdir={logdir} holds this run already, and resume=False forbids to continue it."
        )
    return folder


def _plain(value):
    """Lists were once saved as texts."""
    return [str(part) for part in value] if isinstance(value, list) else value
