"""Learned optimizers: their training, their use, and what they are compared with."""

from meta_keras.optimizers.baselines import (
    BASELINES,
    RATES,
    compare_on,
    curve_table,
    seeds,
    tuned,
    tuned_baselines,
)
from meta_keras.optimizers.curves import MeanCurve, loss_curve, loss_curves
from meta_keras.optimizers.learned import LearnedOptimizer
from meta_keras.optimizers.task_trainer import TaskSetTrainer
from meta_keras.optimizers.task_truncations import task_truncations, task_validation
from meta_keras.optimizers.trainer import OptimizerTrainer
from meta_keras.optimizers.truncations import truncations, validation_optimizations

__all__ = [
    "BASELINES",
    "RATES",
    "LearnedOptimizer",
    "MeanCurve",
    "OptimizerTrainer",
    "TaskSetTrainer",
    "compare_on",
    "curve_table",
    "loss_curve",
    "loss_curves",
    "seeds",
    "task_truncations",
    "task_validation",
    "truncations",
    "tuned",
    "tuned_baselines",
    "validation_optimizations",
]
