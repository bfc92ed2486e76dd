"""Standard output and errors of a program, which must not be what a training dies of."""

import errno
import io
import os
import sys

NOBODY_READS = (errno.EPIPE, errno.EIO)  # a closed pipe, a terminal that is gone


def set_up():
    """Makes the standard streams bear everything.

    Letters that cannot be shown are written as their codes. If whoever reads goes away, as
    `| head -1` does, or there is no room, the program goes on in silence; `lost` tells of the
    latter. A process without the streams gets some to nowhere.
    """
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", errors="backslashreplace"))  # noqa: SIM115
        elif stream is getattr(sys, f"__{name}__"):
            stream.flush()
            setattr(sys, name, _bearing(stream, number))


def lost():
    """Why output was lost that somebody may have wanted, a text; None if none was."""
    sys.stdout.flush()
    return _Unheard.lost


class _Unheard(io.FileIO):
    """A file whose content nobody may want to read any more."""

    lost = None

    def write(self, data):
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in NOBODY_READS:
                _Unheard.lost = error.strerror
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return len(data)


def _bearing(stream, number):
    return io.TextIOWrapper(
        io.BufferedWriter(_Unheard(number, "w", closefd=False)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
