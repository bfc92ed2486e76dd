"""What several tests of learned optimizers share: a trained cell, and a small regression."""

import numpy as np
import pytest

from meta_keras.layers import CoordinatewiseLSTM
from tests.conformance.cells import randomized


@pytest.fixture
def cell():
    """A cell whose weights are not those it starts with."""
    cell = CoordinatewiseLSTM((4,), "rnnprop", output_scale=0.05)
    cell.build_once()
    return randomized(cell)


@pytest.fixture
def data():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 3)).astype("float32")
    return x, np.sin(x.sum(axis=1, keepdims=True))
