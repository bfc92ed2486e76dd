"""Learners: Keras models from episodes to query logits, one method a file."""

from meta_keras.learners.episodic import EpisodicLearner
from meta_keras.learners.gradient_based import GradientBasedLearner
from meta_keras.learners.lstm import LSTMMetaLearner
from meta_keras.learners.maml import MAML
from meta_keras.learners.meta_sgd import MetaSGD
from meta_keras.learners.reptile import Reptile

__all__ = [
    "MAML",
    "EpisodicLearner",
    "GradientBasedLearner",
    "LSTMMetaLearner",
    "MetaSGD",
    "Reptile",
]
