"""Tests of what is said about a learned optimizer's memory."""

import warnings

import keras
import numpy as np
import pytest

from meta_keras.layers import (
    CoordinatewiseLSTM,
    CorrectedAdam,
    GradientDescentCell,
    GroupedCell,
    NesterovCell,
)
from meta_keras.optimizers import LearnedOptimizer, memory
from meta_keras.optimizers.memory import state_bytes, warn_of_memory


def _lstm():
    lstm = CoordinatewiseLSTM((20, 20), "combined")
    lstm.build_once()
    return lstm


def test_bytes_of_a_state():
    """As many as its arrays have, none of which is made."""
    variables = [keras.Variable(np.ones(10)), keras.Variable(np.ones(30))]
    grouped = GroupedCell([_lstm(), NesterovCell(dtype="float32")], [lambda v: v.shape == (10,)])
    grouped.prepare(variables)
    for cell in (_lstm(), grouped, NesterovCell(dtype="float64"), GradientDescentCell()):
        optimizer = LearnedOptimizer(cell)
        optimizer.build(variables)
        state = [v.numpy().nbytes for v in optimizer.variables if v.name.startswith("state")]
        assert state_bytes(cell, 40) == sum(state)
    assert state_bytes(_lstm(), 10**9) == 332 * 10**9 + 4


def test_memory_is_told_before_it_is_taken(monkeypatch):
    lstm = _lstm()
    variable = keras.Variable(np.zeros(1000, "float32"))
    optimizer = LearnedOptimizer(lstm)
    optimizer.build([variable])  # 1.3 MB are not worth a word
    monkeypatch.setattr(memory, "MUCH", 2**20)
    optimizer = LearnedOptimizer(lstm)
    before = len(optimizer.variables)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="332 bytes a weight, for 1,000 weights 0.00 GiB"):
            optimizer.build([variable])
    assert len(optimizer.variables) == before


def test_the_warning_begins_above_a_gibibyte():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_memory(_lstm(), 800_000)
        warn_of_memory(GradientDescentCell(), 10**9)
    assert state_bytes(GradientDescentCell(), 10**9) == 0
    assert state_bytes(_lstm(), 800_000) * 4 < memory.MUCH < state_bytes(_lstm(), 900_000) * 4
    with pytest.warns(UserWarning, match="900,000 weights 0.28 GiB, and 1.1 GiB with"):
        warn_of_memory(_lstm(), 900_000)


def test_memory_of_corrected_adam():
    """20 bytes a weight and little more; a step takes seven times as much again."""
    cell = CorrectedAdam(shapes=[(1000, 1000), (1000,)])
    cell.build_once()
    assert 20 < state_bytes(cell, 1_001_000) / 1_001_000 < 20.1
    with pytest.warns(UserWarning, match="20 bytes a weight.* and 1.5 GiB with"):
        cell.prepare([keras.Variable(np.zeros(1))])
        warn_of_memory(cell.from_config({**cell.get_config(), "shapes": [[10**7]]}), 10**7)
