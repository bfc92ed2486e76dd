"""Optimizees: what a learned optimizer is trained on and measured with."""

from meta_keras.problems.characters import CharacterClassification
from meta_keras.problems.mnist import mnist_mlp
from meta_keras.problems.model import ModelProblem
from meta_keras.problems.problem import Problem
from meta_keras.problems.quadratic import Quadratic
from meta_keras.problems.randomly_scaled import RandomlyScaled
from meta_keras.problems.transfer import mnist_transfer_set

__all__ = [
    "CharacterClassification",
    "ModelProblem",
    "Problem",
    "Quadratic",
    "RandomlyScaled",
    "mnist_mlp",
    "mnist_transfer_set",
]
