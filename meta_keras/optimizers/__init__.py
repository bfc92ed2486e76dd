"""Learned optimizers: their training and their use."""

from meta_keras.optimizers import baselines
from meta_keras.optimizers.curves import LossCurve, loss_curve, loss_curves
from meta_keras.optimizers.learned import LearnedOptimizer
from meta_keras.optimizers.trainer import OptimizerTrainer
from meta_keras.optimizers.truncations import truncations, validation_optimizations

__all__ = [
    "LearnedOptimizer",
    "LossCurve",
    "OptimizerTrainer",
    "baselines",
    "loss_curve",
    "loss_curves",
    "truncations",
    "validation_optimizations",
]
