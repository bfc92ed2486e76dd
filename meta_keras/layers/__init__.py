"""The cells: one optimizer step as a Keras layer over flat coordinates."""

from meta_keras.layers.cell import Cell
from meta_keras.layers.coordinatewise_lstm import CoordinatewiseLSTM, CoordinatewiseLSTMState
from meta_keras.layers.descent import AdamCell, GradientDescentCell, NesterovCell, RMSpropCell
from meta_keras.layers.gated_lstm import GatedLSTMCell, GatedLSTMState
from meta_keras.layers.grouped import GroupedCell, is_convolution_kernel
from meta_keras.layers.meta_sgd import MetaSGDCell
from meta_keras.layers.preprocessing import LogAndSign

__all__ = [
    "AdamCell",
    "Cell",
    "CoordinatewiseLSTM",
    "CoordinatewiseLSTMState",
    "GatedLSTMCell",
    "GatedLSTMState",
    "GradientDescentCell",
    "GroupedCell",
    "LogAndSign",
    "MetaSGDCell",
    "NesterovCell",
    "RMSpropCell",
    "is_convolution_kernel",
]
