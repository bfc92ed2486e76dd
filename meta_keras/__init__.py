"""Learning to learn in Keras: few-shot learners and the cells they are made of."""

from meta_keras import data, layers, learners, metrics, networks, optimizers, presets, problems
from meta_keras.learners import (
    MAML,
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
    ZeroShotPrototypicalNetwork,
)
from meta_keras.optimizers import LearnedOptimizer, OptimizerTrainer
from meta_keras.unroll import Unrolled, unroll

__version__ = "0.1.0"

__all__ = [
    "MAML",
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
