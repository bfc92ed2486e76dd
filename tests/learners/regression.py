"""A small regression that several tests learn."""

import keras
import numpy as np

from meta_keras import MAML
from meta_keras.layers import GradientDescentCell

MSE = keras.losses.MeanSquaredError


def regressor(network, rate=0.3, steps=1, loss=None):
    cell = GradientDescentCell(rate, dtype="float64")
    return MAML(network, cell, steps, inner_loss=loss or MSE(), dtype="float64")


def small_network(outputs=1, dtype="float64", **kernel):
    inputs = keras.Input((2,), dtype=dtype)
    x = keras.layers.Dense(3, "tanh", dtype=dtype, **kernel)(inputs)
    return keras.Model(inputs, keras.layers.Dense(outputs, dtype=dtype, name="head")(x))


def regression_batch(outputs=1, batch=2):
    rng = np.random.default_rng(0)
    x = {
        "support_images": rng.normal(size=(batch, 4, 2)),
        "support_labels": rng.normal(size=(batch, 4, outputs)),
        "query_images": rng.normal(size=(batch, 5, 2)),
    }
    return x, rng.normal(size=(batch, 5, outputs))
