"""Lines for the user, on whatever terminal or pipe there is."""

import contextlib
import os
import sys


def say(*lines, stream=None):
    """Prints lines; a training must not die of it.

    Letters that the terminal cannot show are replaced by their codes, and what cannot be written,
    such as to a pipe that nobody reads any more, is not.

    Args:
        *lines: texts.
        stream: where to write; standard output by default, if there is one.
    """
    stream = stream or sys.stdout
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    for line in lines:
        with contextlib.suppress(OSError):
            shown = str(line).encode(encoding, "backslashreplace").decode(encoding)
            print(shown, file=stream, flush=True)


def output():
    """Standard output, or a stream to nowhere in a process that has none."""
    return sys.stdout or open(os.devnull, "w")
