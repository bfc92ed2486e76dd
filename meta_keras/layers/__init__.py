"""The cells: one optimizer step as a Keras layer over flat coordinates."""

from meta_keras.layers.adam import AdamCell
from meta_keras.layers.cell import Cell
from meta_keras.layers.concatenated import Concatenated
from meta_keras.layers.coordinatewise_lstm import CoordinatewiseLSTM, CoordinatewiseLSTMState
from meta_keras.layers.corrected_adam import CorrectedAdam, CorrectedAdamState
from meta_keras.layers.fixed_rate import FixedRateCell
from meta_keras.layers.gated_lstm import GatedLSTMCell, GatedLSTMState
from meta_keras.layers.gradient_descent import GradientDescentCell
from meta_keras.layers.grouped import GroupedCell, is_convolution_kernel
from meta_keras.layers.log_and_sign import LogAndSign
from meta_keras.layers.meta_sgd import MetaSGDCell
from meta_keras.layers.nesterov import NesterovCell
from meta_keras.layers.preprocessing import Preprocessing, RawGradient
from meta_keras.layers.rmsprop import RMSpropCell
from meta_keras.layers.rnnprop import RNNProp, RNNPropState

__all__ = [
    "AdamCell",
    "Cell",
    "Concatenated",
    "CoordinatewiseLSTM",
    "CoordinatewiseLSTMState",
    "CorrectedAdam",
    "CorrectedAdamState",
    "FixedRateCell",
    "GatedLSTMCell",
    "GatedLSTMState",
    "GradientDescentCell",
    "GroupedCell",
    "LogAndSign",
    "MetaSGDCell",
    "NesterovCell",
    "Preprocessing",
    "RMSpropCell",
    "RNNProp",
    "RNNPropState",
    "RawGradient",
    "is_convolution_kernel",
]
