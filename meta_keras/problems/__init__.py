"""Optimizees: what a learned optimizer is trained on and measured with."""

from meta_keras.problems.model import ModelProblem
from meta_keras.problems.problem import Problem
from meta_keras.problems.quadratic import Quadratic

__all__ = ["ModelProblem", "Problem", "Quadratic"]
