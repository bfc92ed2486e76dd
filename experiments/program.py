"""What every program shares: its flags, errors that name flags, exit codes."""

import re
import signal
import sys

from absl import app, flags, logging

from experiments import streams
from meta_keras.errors import OutputError, SettingError, UserError

INTERRUPTED = 128  # exit code: this and the number of the signal


class Terminated(BaseException):
    """The process is asked to end; the argument is the signal's number."""


def run(main, define, takes_arguments=False, resumes=False):
    """Runs an absl program; a user's mistake ends it with a message and exit code 2.

    Standard output may be closed, or unable to show all letters: see `streams.set_up`.

    Args:
        main: function of the `FlagValues` (and of the list of arguments that are not flags). If it
            returns an int, that is the exit code, which else is 0.
        define: function that defines the program's flags in given `FlagValues`.
        takes_arguments: whether `main` takes arguments.
        resumes: whether the same command goes on where it was stopped.
    """
    define(flags.FLAGS)
    streams.set_up()

    def guarded(argv):
        logging.use_absl_handler()
        logging.set_verbosity(logging.WARNING)
        _end_in_words()
        try:
            if len(argv) > 1 and not takes_arguments:
                raise SettingError(f"unexpected arguments: {' '.join(argv[1:])}; see --help.")
            found = main(flags.FLAGS, *([argv[1:]] if takes_arguments else []))
            if streams.lost():
                raise OutputError(f"Standard output was lost: {streams.lost()}.")
            return found if isinstance(found, int) else 0
        except (UserError, flags.Error) as error:
            kind = "UsageError" if isinstance(error, SettingError) else type(error).__name__
            message = in_flags(str(error), list(flags.FLAGS))
            print(f"\n{kind}: {message}", file=sys.stderr)
            sys.exit(2)
        except (KeyboardInterrupt, Terminated) as stop:
            goes_on = " The same command continues from the last checkpoint." if resumes else ""
            print(f"\nStopped.{goes_on}", file=sys.stderr)
            number = stop.args[0] if isinstance(stop, Terminated) else signal.SIGINT
            sys.exit(INTERRUPTED + number)

    app.run(guarded)


def _end_in_words():
    """Lets SIGTERM and SIGHUP end the program with a message, unless they are ignored."""

    def terminate(number, frame):
        raise Terminated(number)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, terminate)


def parse(define, arguments):
    """The `FlagValues` of a program's arguments, apart from all others; raises `flags.Error`."""
    values = flags.FlagValues()
    define(values)
    values(["program", *arguments])
    return values


def in_flags(message, names):
    """A message of the library, which speaks of arguments, in the words of a command line."""
    alternatives = "|".join(map(re.escape, names))
    message = re.sub(rf"`({alternatives})`", r"--\1", message)
    message = re.sub(rf"(?<![\w\-/.])({alternatives})=(True|False)\b", _switch, message)
    return re.sub(rf"(?<![\w\-/.])({alternatives})=", r"--\1=", message)


def _switch(match):
    return f"--{'' if match[2] == 'True' else 'no'}{match[1]}"
