"""Random quadratic functions, a synthetic problem."""

import tensorflow as tf

from meta_keras.arguments import Part, one_of, positive_integer
from meta_keras.problems import draws
from meta_keras.problems.problem import Problem


class Quadratic(Problem):
    """f(theta) = ||W theta - y||^2, the mean of a batch of functions.

    Andrychowicz et al. 2016, section 3.1, https://arxiv.org/abs/1606.04474. Every function has
    parameters of its own: P = batch * dimensions. It does not change from step to step.

    Args:
        variant: `"gaussian"`: entries of W and y from N(0, 1), as in the paper; `"uniform"`: from
            U[0, 1), as in its official code. theta_0 is drawn from N(0, 0.01^2) in both.
        dimensions: of theta; W is square.
        batch: functions side by side in one optimization.

    Raises:
        ValueError: an argument is out of range, or set later.
    """

    variant = Part(one_of(("gaussian", "uniform")))
    dimensions = Part(positive_integer())
    batch = Part(positive_integer())

    def __init__(self, variant="gaussian", dimensions=10, batch=128):
        self.variant = variant
        self.dimensions = dimensions
        self.batch = batch
        self.size = self.batch * self.dimensions

    def initial_parameters(self, seed):
        return 0.01 * draws.normal([self.size], draws.fold_in([seed, 0], 0))

    def coefficients(self, seed):
        """`(W [batch, dimensions, dimensions], y [batch, dimensions])` of optimization `seed`."""
        draw = {
            "gaussian": draws.normal,
            "uniform": draws.uniform,
        }[self.variant]
        n, d = self.batch, self.dimensions
        w_seed, y_seed = (draws.fold_in([seed, 0], purpose) for purpose in (1, 2))
        return draw([n, d, d], w_seed), draw([n, d], y_seed)

    def loss(self, parameters, seed, step):
        w, y = (tf.cast(part, parameters.dtype) for part in self.coefficients(seed))
        theta = tf.reshape(parameters, [self.batch, self.dimensions])
        residual = tf.linalg.matvec(w, theta) - y
        return tf.reduce_mean(tf.reduce_sum(tf.square(residual), axis=1))
