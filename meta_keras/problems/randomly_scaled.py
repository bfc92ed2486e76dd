"""The same problem in other coordinates, so that no optimizer learns its scale by heart."""

import math

import tensorflow as tf

from meta_keras.arguments import Constant, Part, real
from meta_keras.errors import SettingError
from meta_keras.problems import draws
from meta_keras.problems.problem import Problem


def _scale(problem, name, value):
    if not 0 < real(value) < math.inf:
        raise SettingError(
            f"RandomlyScaled: scale={value!r} must be positive and finite; without scaling, use "
            "the problem itself."
        )
    return real(value)


class RandomlyScaled(Problem):
    """A problem every coordinate of which is multiplied by a random factor, drawn by the seed.

        c = exp(u), u ~ U(-s, s)        g(theta) = f(c theta)        theta_0 = theta_0^f / c

    Lv, Jiang & Li 2017, "Learning gradient descent: better generalization and longer horizons",
    section 4.1, https://arxiv.org/abs/1703.03633: an optimizer is trained on the scaled problem
    and used on the problem itself.

    Args:
        problem: the `Problem` f; size, variables and `second_order` are its own.
        scale: s, a positive float.

    Raises:
        SettingError: `scale` is not positive and finite, or set when a graph holds it.

    Example:

    >>> from meta_keras.problems import Quadratic
    >>> RandomlyScaled(Quadratic(dimensions=2, batch=3), scale=1.0).size
    6
    """

    problem = Part()
    scale = Constant(_scale)

    def __init__(self, problem, scale):
        self.problem = problem
        self.scale = scale

    @property
    def size(self):
        return self.problem.size

    @property
    def variables(self):
        return self.problem.variables

    @property
    def second_order(self):
        return self.problem.second_order

    def factors(self, seed):
        """c of optimization `seed`: float32 `[P]`."""
        drawn = draws.uniform([self.size], draws.fold_in([seed, 0], 99))
        return tf.exp(2.0 * self.scale * drawn - self.scale)

    def initial_parameters(self, seed):
        start = self.problem.initial_parameters(seed)
        return start / tf.cast(self.factors(seed), start.dtype)

    def loss(self, parameters, seed, step):
        factors = tf.cast(self.factors(seed), parameters.dtype)
        return self.problem.loss(factors * parameters, seed, step)
