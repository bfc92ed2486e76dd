"""Random scaling of coordinates: a problem whose scale cannot be learned by heart."""

import math

import tensorflow as tf

from meta_keras.problems.problem import Problem


class RandomlyScaled(Problem):
    """Another problem in other coordinates: every seed scales each of them by its own factor.

        minimise f(c o theta) from theta_0 / c,      c = exp(u), u ~ U(-s, s)

    o is elementwise. An optimizer trained on it cannot learn the scale of the problem by heart
    (Lv et al. 2017, section 4.1, https://arxiv.org/abs/1703.03633).

    Args:
        problem: a `Problem`.
        scale: s, positive and finite.

    Raises:
        ValueError: `scale` is out of range.
    """

    def __init__(self, problem, scale):
        if not 0 < scale < math.inf:
            raise ValueError(f"RandomlyScaled: scale must be positive and finite, got {scale!r}.")
        self.problem = problem
        self.scale = float(scale)
        self.size = problem.size
        self.variables = problem.variables
        self.second_order = problem.second_order

    def factors(self, seed):
        """c `[P]` of optimization `seed`."""
        exponent = tf.random.stateless_uniform(
            [self.size],
            tf.random.fold_in([seed, 0], 99),
            minval=-self.scale,
            maxval=self.scale,
        )
        return tf.exp(exponent)

    def initial_parameters(self, seed):
        return self.problem.initial_parameters(seed) / self.factors(seed)

    def loss(self, parameters, seed, step):
        return self.problem.loss(self.factors(seed) * parameters, seed, step)
