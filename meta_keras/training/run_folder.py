"""The folder of a run: it belongs to one set of settings, which stand in it."""

import contextlib
import pathlib

from meta_keras import files
from meta_keras.errors import RunInUse, SettingError
from meta_keras.presets import SETTINGS_FILE
from meta_keras.training import lock, terminal

RESULTS_FILE = "results.json"


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
        saved = files.read_json(file)
        if not isinstance(saved.get("dataset", ""), str):
            raise ValueError(f"dataset is {saved['dataset']!r}")
    except (OSError, ValueError) as error:
        raise SettingError(f"{file} is damaged ({error}); name another `logdir`.") from error
    return saved


@contextlib.contextmanager
def opened(logdir, settings, resume=True, reading=False, say=terminal.say):
    """The folder of a run, as `open_run` gives it, for this process alone.

    What killed processes left half written is removed. A full disk ends the body with an error
    that names the folder.

    Args:
        logdir, settings, resume: as for `open_run`.
        reading: whether the run is only tested, which may be done while another process trains.
        say: function of a text for the user.

    Raises:
        RunInUse: another process is training in the folder.
        OutputError: the disk is full.
        SettingError: see `open_run`.
    """
    folder = files.writable_folder("logdir", logdir)
    _refuse_foreign(folder, logdir)
    with files.naming_full_disk(folder), contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock.locked(folder))
            files.remove_stubs(folder)
            files.remove_stubs(folder / "checkpoints")
        except RunInUse:
            if not reading or saved_settings(folder) is None:
                raise
            say(f"Another process is training in {folder}: testing its best so far.")
        yield open_run(logdir, settings, resume)


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
    folder = files.writable_folder("logdir", logdir)
    saved = saved_settings(folder)
    if saved is None:
        _refuse_foreign(folder, logdir)
        files.write_json(folder / SETTINGS_FILE, settings)
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


def experiment_in(folder):
    """What a folder's results are of, as they say; `"a run"` of one without; else None."""
    begun = "a run" if (folder / SETTINGS_FILE).exists() else None
    return _results(folder).get("experiment") or begun


def _results(folder):
    try:
        return files.read_json(folder / RESULTS_FILE)
    except (OSError, ValueError):
        return {}


def refuse_other_results(folder, experiment, settings):
    """Refuses a folder whose `results.json` is of something else, which would be lost.

    Args:
        folder: a `pathlib.Path`.
        experiment: what the results are to be of.
        settings: JSON-able dict of everything that decides them.

    Raises:
        SettingError: they are of another experiment or of other settings.
    """
    if not (folder / RESULTS_FILE).exists() and not (folder / SETTINGS_FILE).exists():
        return
    saved = _results(folder)
    if saved.get("experiment") != experiment:
        raise SettingError(
            f"logdir={folder} holds something else ({experiment_in(folder) or 'a run'}); name "
            "another folder."
        )
    known = saved.get("flags", {})
    for name in sorted(set(known) | set(settings)):
        if _plain(known.get(name)) != _plain(settings.get(name)):
            raise SettingError(
                f"logdir={folder} holds results of other settings ({name}: {known.get(name)!r} "
                f"there, {settings.get(name)!r} now); name another folder."
            )


def _refuse_foreign(folder, logdir):
    if (folder / SETTINGS_FILE).exists():
        return
    others = sorted(
        path.name
        for path in folder.iterdir()
        if not path.name.endswith(".tmp") and path.name != lock.LOCK_FILE
    )
    if others:
        raise SettingError(
            f"logdir={logdir} is not empty and not a run (it has {', '.join(others[:3])}). "
            "Name another folder."
        )


def _plain(value):
    """Lists were once saved as texts; and a switch that is off, older versions may not have had."""
    if value is False:
        return None
    return [str(part) for part in value] if isinstance(value, (list, tuple)) else value
