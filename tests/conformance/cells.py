"""The table of cells: a new one is a row of `ROWS`, and every test of them runs on it."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from meta_keras import layers

SIZE = 7
VARIABLES = [keras.Variable(np.zeros(shape)) for shape in ((2,), (1, 1, 3), (2, 1))]


class Row(NamedTuple):
    """A cell.

    Attributes:
        name: of the row.
        make: function of a cell's keyword arguments (such as `dtype`) to a new one, not built.
        any_size: whether its weights serve any number of coordinates.
        whole_start: whether its first state has the structure and the shapes of the next ones.
        coordinatewise: whether the coordinates do not see each other.
    """

    name: str
    make: Callable
    any_size: bool = True
    whole_start: bool = True
    coordinatewise: bool = True


def _lstm(preprocessing, **kwargs):
    return lambda **of_all: layers.CoordinatewiseLSTM((4, 3), preprocessing, **kwargs, **of_all)


def _grouped(**kwargs):
    cells = [
        layers.CoordinatewiseLSTM((3,), "combined", **kwargs),
        layers.NesterovCell(0.1, **kwargs),
    ]
    return layers.GroupedCell(cells, [layers.is_convolution_kernel])


ROWS = [
    Row("gradient descent", functools.partial(layers.GradientDescentCell, 0.4)),
    Row("Nesterov", functools.partial(layers.NesterovCell, 0.4)),
    Row("RMSprop", functools.partial(layers.RMSpropCell, 0.4)),
    Row("Adam", functools.partial(layers.AdamCell, 0.4, beta_1=0.5)),
    Row("Meta-SGD", layers.MetaSGDCell, any_size=False),
    Row(
        "gated LSTM",
        functools.partial(layers.GatedLSTMCell, units=4, p=5),
        whole_start=False,
    ),
    Row("LSTM, none", _lstm("none")),
    Row("LSTM, log and sign", _lstm(layers.LogAndSign(p=5))),
    Row("LSTM, rnnprop", _lstm(layers.RNNProp(beta=0.8))),
    Row("LSTM, combined", _lstm("combined", output_scale=0.03)),
    Row("LSTM, combined, gradient path", _lstm("combined", gradient_rate=0.1)),
    Row("grouped", _grouped),
    Row(
        "corrected Adam",
        functools.partial(layers.CorrectedAdam, (4, 3), tensor_units=5, rate=0.1, steps=9),
        coordinatewise=False,
    ),
]


def ready(cell):
    """A cell, built, with weights at which every term matters."""
    cell.prepare(VARIABLES)
    cell.build_once(SIZE)
    return randomized(cell, scale=0.4, seed=1)


def randomized(cell, scale=0.5, seed=0):
    """A built cell, with weights at which every term matters."""
    rng = np.random.default_rng(seed)
    for variable in cell.trainable_variables:
        variable.assign(rng.normal(scale=scale, size=variable.shape))
    return cell
