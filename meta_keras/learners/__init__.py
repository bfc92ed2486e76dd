"""Learners: Keras models from episodes to query logits, one method a file."""

from meta_keras.learners.episodic import EpisodicLearner
from meta_keras.learners.gradient_based import GradientBasedLearner
from meta_keras.learners.lstm import LSTMMetaLearner
from meta_keras.learners.matching import MatchingNetwork
from meta_keras.learners.metric import MetricLearner
from meta_keras.learners.prototypical import PrototypicalNetwork
from meta_keras.learners.relation import RelationLoss, RelationNetwork
from meta_keras.learners.siamese import BalancedPairsLoss, SiameseNetwork

__all__ = [
    "BalancedPairsLoss",
    "EpisodicLearner",
    "GradientBasedLearner",
    "LSTMMetaLearner",
    "MatchingNetwork",
    "MetricLearner",
    "PrototypicalNetwork",
    "RelationLoss",
    "RelationNetwork",
    "SiameseNetwork",
]
