"""What every experiment shares: folders, flags on disk, results, errors."""

import json
import pathlib
import re
import sys
import tempfile

from absl import app, flags, logging

from experiments.files import write_json
from meta_keras.callbacks import CheckpointError, NonFiniteLoss
from meta_keras.data import DatasetError
from meta_keras.errors import SettingError, UserError
from meta_keras.presets import PresetError

flags.DEFINE_string("logdir", None, "Folder of the run; one under runs/ if not given.")
flags.DEFINE_integer("seed", 0, "Seed of everything random.", lower_bound=0, upper_bound=2**32 - 1)
flags.DEFINE_bool("eval_only", False, "Only evaluate the best weights in logdir, or a preset.")
flags.DEFINE_bool("resume", True, "Continue the run found in --logdir.")

FLAGS_FILE = "flags.json"
USER_ERRORS = (DatasetError, CheckpointError, NonFiniteLoss, PresetError)


class UsageError(Exception):
    """The user asked for something that cannot be; the message says what is allowed."""


def run(main, takes_arguments=False):
    """Runs an absl program; a user's mistake ends it with a message and exit code 2.

    Args:
        main: a function without arguments, or of the list of those that are not flags; what it
            returns is the exit code, None means 0.
        takes_arguments: which of the two.
    """

    def guarded(argv):
        logging.use_absl_handler()
        logging.set_verbosity(logging.WARNING)
        try:
            if takes_arguments:
                return main(argv[1:])
            if len(argv) > 1:
                raise UsageError(f"unexpected arguments: {' '.join(argv[1:])}; see --help.")
            return main()
        except (UsageError, flags.Error) as error:
            print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
            sys.exit(2)
        except UserError as error:  # from the library, which knows arguments, not flags
            kind = UsageError if isinstance(error, SettingError) else type(error)
            print(f"\n{kind.__name__}: {in_flags(str(error), flags.FLAGS)}", file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt:
            print(
                "\nStopped. The same command continues from the last checkpoint.", file=sys.stderr
            )
            sys.exit(130)

    app.run(guarded)


def in_flags(message, names):
    """A message of the library with flags for the arguments it names.

    Args:
        message: a str in which arguments are written `name=value` or in backquotes.
        names: of flags.

    Returns:
        The message with `--name=value` and `--name`.
    """
    for name in names:
        message = re.sub(rf"(?<![\w-]){re.escape(name)}=", f"--{name}=", message)
        message = message.replace(f"`{name}`", f"--{name}")
    return message


def module_flags(module_name):
    """Values of the flags a module defines, a JSON-able dict."""
    return {
        flag.name: flag.value
        for flag in flags.FLAGS.get_key_flags_for_module(module_name)
        if flag.name in flags.FLAGS
    }


def saved_settings(logdir):
    """The settings of the run in a folder, or None if none has got as far as a checkpoint.

    Raises:
        UsageError: the file with the settings is damaged.
    """
    folder = pathlib.Path(logdir).expanduser()
    file = folder / FLAGS_FILE
    if not file.exists() or not any((folder / "checkpoints").glob("[0-9]*")):
        return None
    try:
        saved = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} is damaged ({error}); name another --logdir.") from error
    if not isinstance(saved, dict):
        raise UsageError(f"{file} is damaged (it is not a table); name another --logdir.")
    return saved


def writable_folder(flag, path):
    """Makes a folder if need be, and makes sure that files can be written to it.

    Args:
        flag: name of the flag it was given with, for the message.
        path: path.

    Returns:
        The folder, a `pathlib.Path`.

    Raises:
        UsageError: the folder cannot be written.
    """
    folder = pathlib.Path(path).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"--{flag}={path} cannot be written: {error.strerror}.") from error
    return folder


def open_logdir(logdir, settings, resume):
    """Makes a run's folder, or checks that an existing one is of the same run.

    Args:
        logdir: path.
        settings: JSON-able dict of everything that decides the run's result.
        resume: whether an existing run may be continued.

    Returns:
        The folder, a `pathlib.Path`.

    Raises:
        UsageError: the folder cannot be written, belongs to something else, or to a run with
            other settings.
    """
    folder = writable_folder("logdir", logdir)
    file = folder / FLAGS_FILE
    saved = saved_settings(folder)
    if saved is None:
        others = sorted(path.name for path in folder.iterdir() if not path.name.endswith(".tmp"))
        if others and not file.exists():
            raise UsageError(
                f"--logdir={logdir} is not empty and not a run of this program (it has "
                f"{', '.join(others[:3])}). Name another folder."
            )
        write_json(file, settings)
        return folder
    names = sorted(set(saved) | set(settings))
    differences = [
        f"  {name}: {saved.get(name)!r} there, {settings.get(name)!r} now"
        for name in names
        if saved.get(name) != settings.get(name)
    ]
    if differences:
        raise UsageError(
            f"--logdir={logdir} holds a run with other settings:\n"
            + "\n".join(differences)
            + "\nName another --logdir, or use the same flags to continue it."
        )
    if not resume:
        raise UsageError(f"--logdir={logdir} holds this run already and --noresume was given.")
    return folder
