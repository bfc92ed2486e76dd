"""The examples in docstrings work as written."""

import doctest
import importlib
import pkgutil

import pytest

import meta_keras

MODULES = [info.name for info in pkgutil.walk_packages(meta_keras.__path__, "meta_keras.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    tests = [t for name in MODULES for t in finder.find(importlib.import_module(name))]
    assert sum(len(test.examples) for test in tests) >= 5
