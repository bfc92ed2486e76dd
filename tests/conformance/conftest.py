"""Runs every test that has `row` among its arguments on every row of the table."""

import keras
import pytest

from tests.conformance.descriptors import LEARNERS, parts  # noqa: F401


def pytest_generate_tests(metafunc):
    if "row" in metafunc.fixturenames:
        metafunc.parametrize("row", LEARNERS, ids=lambda row: row.name)


@pytest.fixture
def make_learner(row, parts):  # noqa: F811
    """Function that builds the row's learner, the same one every time."""

    def make(dtype="float32", **kwargs):
        return row.build(parts, dtype, **kwargs)

    return make


@pytest.fixture
def make_batch(row, make_episodes):
    """Function that builds a batch of random episodes for the row's learner."""

    def make(batch=1, dtype="float32", **kwargs):
        return row.make_batch(make_episodes, batch, dtype, **kwargs)

    return make


@pytest.fixture
def compiled():
    """Function that compiles a learner; eagerly, for tracing takes longer than a few steps."""

    def compile(learner, optimizer=None, run_eagerly=True):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        optimizer = optimizer or keras.optimizers.Adam(0.02)
        learner.compile(
            optimizer, loss, metrics=["accuracy"], run_eagerly=run_eagerly, jit_compile=False
        )
        return learner

    return compile


@pytest.fixture
def values():
    """Function: copies of variables as NumPy arrays."""
    return lambda variables: [variable.numpy() for variable in variables]
