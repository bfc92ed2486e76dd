"""Learned optimizers: their training and their use."""

from meta_keras.optimizers.learned import LearnedOptimizer
from meta_keras.optimizers.summaries import OptimizationSummaries
from meta_keras.optimizers.trainer import OptimizerTrainer, loss_curves, truncations

__all__ = [
    "LearnedOptimizer",
    "OptimizationSummaries",
    "OptimizerTrainer",
    "loss_curves",
    "truncations",
]
