"""Learning to learn in Keras: few-shot learners and the cells they are made of."""

import importlib

from meta_keras import (
    data,
    errors,
    layers,
    learners,
    metrics,
    networks,
    optimizers,
    presets,
    problems,
)
from meta_keras.learners import (
    MAML,
    R2D2,
    DescribedLearner,
    EpisodicLearner,
    GradientBasedLearner,
    Learner,
    LSTMMetaLearner,
    MatchingNetwork,
    MetaSGD,
    MetricLearner,
    PrototypicalNetwork,
    RelationNetwork,
    Reptile,
    SiameseNetwork,
    SimpleShot,
    ZeroShotPrototypicalNetwork,
)
from meta_keras.optimizers import LearnedOptimizer, OptimizerTrainer
from meta_keras.unroll import Unrolled, unroll

__version__ = "0.2.0"

# These load Matplotlib: they are imported when they are first used.
ON_DEMAND = ("plots", "recipes", "recognition", "training")

__all__ = [
    "MAML",
    "R2D2",
    "DescribedLearner",
    "EpisodicLearner",
    "GradientBasedLearner",
    "LSTMMetaLearner",
    "LearnedOptimizer",
    "Learner",
    "MatchingNetwork",
    "MetaSGD",
    "MetricLearner",
    "OptimizerTrainer",
    "PrototypicalNetwork",
    "RelationNetwork",
    "Reptile",
    "SiameseNetwork",
    "SimpleShot",
    "Unrolled",
    "ZeroShotPrototypicalNetwork",
    "data",
    "errors",
    "layers",
    "learners",
    "metrics",
    "networks",
    "optimizers",
    "plots",
    "presets",
    "problems",
    "recipes",
    "recognition",
    "training",
    "unroll",
]


def __getattr__(name):
    if name in ON_DEMAND:
        return importlib.import_module(f"meta_keras.{name}")
    raise AttributeError(f"module 'meta_keras' has no attribute {name!r}")
