"""Optimizees: what a learned optimizer is trained on and measured with."""

from meta_keras.problems.characters import CharacterClassification
from meta_keras.problems.mnist import mnist_mlp
from meta_keras.problems.model import ModelProblem
from meta_keras.problems.problem import Problem
from meta_keras.problems.quadratic import Quadratic

__all__ = ["CharacterClassification", "ModelProblem", "Problem", "Quadratic", "mnist_mlp"]
