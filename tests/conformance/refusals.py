"""Refusals of many cases by one learner: where a test fails, it names the case."""

import re

import pytest


def assert_refused(case, message, use, *arguments):
    """`use(*arguments)` must raise a `ValueError` in which the pattern `message` is found."""
    try:
        use(*arguments)
    except ValueError as error:
        assert re.search(message, str(error)), f"{case}: {error}"
    else:
        pytest.fail(f"{case}: nothing was refused")
