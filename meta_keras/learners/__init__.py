"""Learners: Keras models from episodes to query logits, one method a file."""

from meta_keras.learners.described import DescribedLearner
from meta_keras.learners.episodic import EpisodicLearner
from meta_keras.learners.gradient_based import GradientBasedLearner
from meta_keras.learners.learner import Learner
from meta_keras.learners.lstm import LSTMMetaLearner
from meta_keras.learners.maml import MAML
from meta_keras.learners.matching import MatchingNetwork
from meta_keras.learners.meta_sgd import MetaSGD
from meta_keras.learners.metric import MetricLearner
from meta_keras.learners.prototypical import PrototypicalNetwork
from meta_keras.learners.r2d2 import R2D2
from meta_keras.learners.relation import RelationLoss, RelationNetwork
from meta_keras.learners.reptile import Reptile
from meta_keras.learners.siamese import BalancedPairsLoss, SiameseNetwork
from meta_keras.learners.simple_shot import SimpleShot
from meta_keras.learners.zero_shot import ZeroShotPrototypicalNetwork

__all__ = [
    "MAML",
    "R2D2",
    "BalancedPairsLoss",
    "DescribedLearner",
    "EpisodicLearner",
    "GradientBasedLearner",
    "LSTMMetaLearner",
    "Learner",
    "MatchingNetwork",
    "MetaSGD",
    "MetricLearner",
    "PrototypicalNetwork",
    "RelationLoss",
    "RelationNetwork",
    "Reptile",
    "SiameseNetwork",
    "SimpleShot",
    "ZeroShotPrototypicalNetwork",
]
