"""Signals as a terminal's programs get them."""

import signal

import pytest


@pytest.fixture(autouse=True)
def interruptible():
    """A process started in the background ignores ctrl-C, and so do those it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
