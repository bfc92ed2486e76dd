"""Learning to learn in Keras: few-shot learners and the cells they are made of."""

from meta_keras import data, layers, learners, metrics, networks, optimizers, presets, problems
from meta_keras.learners import (
    EpisodicLearner,
    GradientBasedLearner,
    LSTMMetaLearner,
    ZeroShotPrototypicalNetwork,
)
from meta_keras.optimizers import LearnedOptimizer, OptimizerTrainer
from meta_keras.unroll import Unrolled, unroll

__version__ = "0.1.0"

__all__ = [
    "EpisodicLearner",
    "GradientBasedLearner",
    "LSTMMetaLearner",
    "LearnedOptimizer",
    "OptimizerTrainer",
    "Unrolled",
    "ZeroShotPrototypicalNetwork",
    "data",
    "layers",
    "learners",
    "metrics",
    "networks",
    "optimizers",
    "presets",
    "problems",
    "unroll",
]
