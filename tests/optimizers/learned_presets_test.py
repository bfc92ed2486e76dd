"""Tests of learned optimizers from presets."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras import LSTMMetaLearner
from meta_keras.errors import SettingError
from meta_keras.layers import (
    CoordinatewiseLSTM,
    CorrectedAdam,
    GradientDescentCell,
    GroupedCell,
    is_convolution_kernel,
)
from meta_keras.networks import conv4
from meta_keras.optimizers import LearnedOptimizer
from meta_keras.presets import PresetError


def test_preset_of_a_grouped_cell(cell, tmp_path):
    """Whether or not it was prepared for variables before; in use it is prepared for its own."""
    grouped = GroupedCell([CoordinatewiseLSTM((3,)), cell], [is_convolution_kernel])

    def step(optimizer):
        variables = [keras.Variable(np.ones(shape)) for shape in ((3, 1, 2), (4,))]
        optimizer.apply([np.full(v.shape, 0.5, "float32") for v in variables], variables)
        return [variable.numpy() for variable in variables]

    LearnedOptimizer(grouped).save_to_preset(tmp_path / "new")
    expected = step(LearnedOptimizer(grouped))
    LearnedOptimizer(grouped).save_to_preset(tmp_path / "prepared")
    for name in ("new", "prepared"):
        loaded = LearnedOptimizer.from_preset(tmp_path / name)
        for actual, variable in zip(loaded.cell.variables, grouped.variables, strict=True):
            np.testing.assert_array_equal(actual, variable)
        for actual, value in zip(step(loaded), expected, strict=True):
            np.testing.assert_array_equal(actual, value)


def test_preset_of_something_else(tmp_path):
    LSTMMetaLearner(conv4(5, filters=2)).save_to_preset(tmp_path / "learner")
    with pytest.raises(PresetError, match="holds a LSTMMetaLearner, not an optimizer"):
        LearnedOptimizer.from_preset(tmp_path / "learner")


def test_the_length_of_a_training(data, tmp_path):
    """The last step is a ninth as long as the first; a cell that heeds no length refuses one."""
    rng = np.random.default_rng(0)
    cell = CorrectedAdam((3,), rate=0.1)
    LearnedOptimizer(cell).save_to_preset(tmp_path / "general")
    optimizer = LearnedOptimizer.from_preset(tmp_path / "general", steps=9)
    variable = keras.Variable(np.zeros(4, "float32"))
    optimizer.build([variable])
    gradient = tf.constant(rng.choice([-1.0, 1.0], 4), tf.float32)
    places = [variable.numpy()]
    for _ in range(9):
        optimizer.apply([gradient])
        places.append(variable.numpy())
    lengths = np.abs(np.diff(places, axis=0))
    np.testing.assert_allclose(
        lengths, 0.1 * np.arange(9, 0, -1)[:, None].repeat(4, 1) / 9, rtol=1e-4
    )
    LearnedOptimizer(GradientDescentCell(0.1)).save_to_preset(tmp_path / "descent")
    with pytest.raises(SettingError, match="steps=9: preset=.* heeds no length of a training"):
        LearnedOptimizer.from_preset(tmp_path / "descent", steps=9)
    with pytest.raises(SettingError, match="steps must be a positive integer"):
        LearnedOptimizer.from_preset(tmp_path / "general", steps=0)


def test_the_general_preset_beats_adam_where_it_was_not_trained(data):
    """A network of Keras' defaults: with and without the length, which it need not be told."""

    def loss(optimizer):
        keras.utils.set_random_seed(3)
        layers = [keras.layers.Dense(30, "relu"), keras.layers.Dense(30, "tanh")]
        model = keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(1)])
        model.compile(optimizer, "mse")
        return model.fit(*data, batch_size=20, epochs=50, verbose=0).history["loss"][-1]

    adam = loss(keras.optimizers.Adam())
    for steps in (100, None):
        assert loss(LearnedOptimizer.from_preset("general", steps=steps)) < 0.5 * adam
