"""Learners: Keras models from episodes to query logits, one method a file."""

from meta_keras.learners.episodic import EpisodicLearner
from meta_keras.learners.gradient_based import GradientBasedLearner
from meta_keras.learners.lstm import LSTMMetaLearner
from meta_keras.learners.zero_shot import ZeroShotPrototypicalNetwork

__all__ = [
    "EpisodicLearner",
    "GradientBasedLearner",
    "LSTMMetaLearner",
    "ZeroShotPrototypicalNetwork",
]
