"""Tests of what compares features: one lambda for frozen backbones, wherever it is used."""

import keras
import numpy as np
import pytest

from meta_keras.recipes import BackboneTest
from meta_keras.recognition import HEADS


def test_ridge_has_the_lambda_of_the_measured_backbones():
    head = HEADS["ridge"](keras.Sequential([keras.Input((3,)), keras.layers.Identity()]))
    lambda_ = float(np.exp(head.log_ridge))
    assert lambda_ == pytest.approx(0.5)
    assert lambda_ == pytest.approx(BackboneTest(backbone="x", data_dir="y").ridge)
