"""Tests of the data sets that an `OptimizerTrainer` is trained and validated on."""

import pytest
import tensorflow as tf

from meta_keras.errors import SettingError
from meta_keras.optimizers import truncations, validation_optimizations


def test_curriculum_of_horizons():
    """Each horizon gets its share of the truncations, and no optimization is seen twice."""
    work = [
        (int(x["seed"][0]), int(x["step"][0])) for x in truncations(12, [10, 20, 30], 10, seed=2)
    ]
    base = 2 * 1_000_000_007
    assert work == [
        *((base + i, 0) for i in range(4)),
        *((base + 4 + i, step) for i in range(2) for step in (0, 10)),
        *((base + 6, step) for step in (0, 10, 20)),
        (base + 7, 0),
    ]
    rest = truncations(5, [10, 20, 30], 10, seed=2, start=7, total=12)
    assert [(int(x["seed"][0]), int(x["step"][0])) for x in rest] == work[7:]


def test_validation_optimizations():
    data = validation_optimizations(range(-7, -10, -1))
    assert data.element_spec == {"seed": tf.TensorSpec([1], tf.int64)}
    assert [int(x["seed"][0]) for x in data] == [-7, -8, -9]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 100, 30), "steps=100 must be a positive multiple of unroll_steps=30"),
        ((1, [20, 0], 20), "steps=0"),
        ((1, 20, 0), "multiple of unroll_steps=0, a positive number"),
        ((2, [20, 40, 60], 20), "3 horizons are more than the 2 truncations"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(SettingError, match=message):
        truncations(*arguments)


def test_nothing_to_validate_on():
    with pytest.raises(SettingError, match="there must be an optimization at least"):
        validation_optimizations([])
