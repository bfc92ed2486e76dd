"""Learned optimizers: their training and their use."""

from meta_keras.optimizers.learned import LearnedOptimizer
from meta_keras.optimizers.trainer import OptimizerTrainer, loss_curves, truncations

__all__ = ["LearnedOptimizer", "OptimizerTrainer", "loss_curves", "truncations"]
