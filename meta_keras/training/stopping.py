"""A training that is asked to end: it finishes its update, saves, and then does."""

import contextlib
import os
import signal
import threading

import keras

from meta_keras.errors import RunStopped

NAMES = ("SIGTERM", "SIGINT", "SIGHUP")  # SIGHUP: the terminal was closed


class Stopped(Exception):
    """A checkpoint was saved because a signal had come."""


class Signals:
    """While it is entered, signals to end are noted instead of followed; the second is followed.

    Only in a process' main thread, elsewhere Python allows no such thing. Signals that the process
    ignores, as under `nohup`, stay ignored.

    Args:
        verbose: whether to say, at the first signal, what happens now.

    Attributes:
        received: number of the signal that came, or None.
    """

    def __init__(self, verbose=True):
        self.verbose = verbose
        self.received = None
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for name in NAMES:
                number = getattr(signal, name, None)
                if number and signal.getsignal(number) not in (None, signal.SIG_IGN):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _note(self, number, frame):
        if self.received is not None:
            self.__exit__()
            signal.raise_signal(number)
            return
        self.received = number
        if self.verbose:
            # Not print: the signal may have come in the midst of one.
            with contextlib.suppress(OSError):
                os.write(2, b"\nStopping after this update; a second signal stops at once.\n")

    def follow(self):
        """Does, after leaving, what the signal would have done; raises `RunStopped` if nothing."""
        signal.raise_signal(self.received)
        name = signal.Signals(self.received).name
        raise RunStopped(f"{name} has stopped the training; the same call goes on from there.")


class StopOnSignal(keras.callbacks.Callback):
    """Raises `Stopped` as soon as a signal has come and a checkpoint is saved.

    Must stand behind `Checkpoint` in the list of callbacks.

    Args:
        signals: `Signals`.
        checkpoint: the `Checkpoint`.
        begun: updates of the first epoch that were done before.
        logs: what Keras had reported after them.
    """

    def __init__(self, signals, checkpoint, begun=0, logs=None):
        super().__init__()
        self.signals, self.checkpoint = signals, checkpoint
        self.begun, self.logs = begun, logs

    def on_epoch_begin(self, epoch, logs=None):
        self.done, self.begun = self.begun, 0

    def on_train_batch_end(self, batch, logs=None):
        self.done += 1
        self.logs = logs
        self._stop_within()

    def on_test_batch_end(self, batch, logs=None):
        self._stop_within()

    def _stop_within(self):
        if self.signals.received is not None:
            if self.checkpoint.state.get("updates") != self.done:
                self.checkpoint.save_within(self.done, self.logs)
            raise Stopped

    def on_epoch_end(self, epoch, logs=None):
        if self.signals.received is not None:
            raise Stopped
