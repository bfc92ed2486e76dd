"""Tests of noting signals: what is noted, followed, ignored and restored."""

import signal
import threading

import pytest

from meta_keras.training.stopping import Signals


def test_the_first_is_noted_and_the_second_followed():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Signals(verbose=False) as signals:
        signal.raise_signal(signal.SIGTERM)
        assert signals.received == signal.SIGTERM
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_it_says_what_happens(capfd):
    with Signals():
        signal.raise_signal(signal.SIGTERM)
    assert "Stopping after this update" in capfd.readouterr().err


def test_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals() as signals:
            signal.raise_signal(signal.SIGHUP)
            assert signals.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_another_thread_nothing_is_touched():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work():
        with Signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
