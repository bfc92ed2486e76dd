"""The cells: one optimizer step as a Keras layer over flat coordinates."""

from meta_keras.layers.cell import Cell
from meta_keras.layers.gated_lstm import GatedLSTMCell, GatedLSTMState
from meta_keras.layers.gradient_descent import GradientDescentCell
from meta_keras.layers.preprocessing import LogAndSign

__all__ = ["Cell", "GatedLSTMCell", "GatedLSTMState", "GradientDescentCell", "LogAndSign"]
