"""A quadratic in float64, whose runs and derivatives are known in closed form."""

import numpy as np
import tensorflow as tf

SIZE, RATE = 4, 0.1


class Quadratic:
    """f(theta) = 1/2 (theta - m)' A (theta - m), of which gradient descent is linear algebra."""

    def __init__(self):
        rng = np.random.default_rng(0)
        root = rng.normal(size=(SIZE, SIZE))
        self.a = root @ root.T / SIZE + np.eye(SIZE)
        self.minimum = rng.normal(size=SIZE)
        self.start = rng.normal(size=SIZE)

    def loss_fn(self, parameters, step, carry):
        return self(parameters), carry

    def __call__(self, theta):
        d = tf.convert_to_tensor(theta) - self.minimum
        return 0.5 * tf.tensordot(d, tf.linalg.matvec(self.a, d), 1)

    def value(self, theta):
        return 0.5 * (theta - self.minimum) @ self.a @ (theta - self.minimum)

    def after(self, steps, rate=RATE):
        """theta_t of gradient descent: m + (I - rate A)^t (theta_0 - m)."""
        return self.minimum + self.contraction(steps, rate) @ (self.start - self.minimum)

    def contraction(self, steps, rate=RATE):
        return np.linalg.matrix_power(np.eye(SIZE) - rate * self.a, steps)
