"""Tests of the checks of arguments."""

from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf

from meta_keras.arguments import decay, positive
from meta_keras.errors import SettingError
from meta_keras.learners import PrototypicalNetwork
from meta_keras.networks import conv4_embedding

NUMBERS = (1, 0.25, np.float32(0.25), np.int64(3), np.array(0.5), Fraction(1, 2), tf.constant(0.5))


@pytest.mark.parametrize("value", NUMBERS, ids=lambda value: type(value).__name__)
def test_positive_numbers_become_floats(value):
    found = positive(None, "rate", value)
    assert type(found) is float and found == float(value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0, None, "1", True, 1j, [], 10**400])
@pytest.mark.parametrize("check", [positive, decay])
def test_all_else_is_refused(check, value):
    if check is decay and value == 0:
        pytest.skip("a mean may forget at once")
    with pytest.raises(SettingError, match="object: rate must be "):
        check(object(), "rate", value)


@pytest.mark.parametrize("value", [None, np.inf, "1"])
def test_at_a_learner(value):
    embedding = conv4_embedding(filters=2)
    with pytest.raises(SettingError, match="PrototypicalNetwork: temperature must be positive"):
        PrototypicalNetwork(embedding, temperature=value)
