"""Tests of what the library prints, on whatever terminal there is."""

import io
import sys

from meta_keras.training import terminal
from meta_keras.training.progress import Progress


def test_letters_that_cannot_be_shown():
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, "ascii")
    terminal.say("runs/日本", "\udce4", stream=stream)
    assert written.getvalue() == b"runs/\\u65e5\\u672c\n\\udce4\n"


class Closed(io.StringIO):
    tried = 0

    def write(self, text):
        self.tried += 1
        raise BrokenPipeError


def test_nobody_reads(monkeypatch):
    closed = Closed()
    terminal.say("to nobody", "nor this", stream=closed)
    assert closed.tried == 2 and not closed.getvalue()
    monkeypatch.setattr(sys, "stdout", None)
    terminal.say("to nobody")
    progress = Progress("episode", 4, 4, 2)
    progress.on_epoch_begin(0)
    progress.on_epoch_end(0, {"loss": 1.0})
