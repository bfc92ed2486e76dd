"""Meta-SGD's update: gradient descent with a learned rate per coordinate."""

import keras

from meta_keras.arguments import Part
from meta_keras.layers.cell import Cell


def meta_sgd_update(gradient, theta, alpha):
    """theta' = theta - alpha o grad  (Li et al. 2017, equation 2); o is elementwise."""
    return theta - alpha * gradient


@keras.saving.register_keras_serializable(package="meta_keras")
class MetaSGDCell(Cell):
    """Gradient descent with a learned rate for every coordinate.

    "Meta-SGD: Learning to learn quickly for few-shot learning" (Li et al. 2017,
    https://arxiv.org/abs/1707.09835). A rate may become negative: length and direction of the step
    are both learned.

    Args:
        rate_initializer: of the rates alpha; the paper's U(0.005, 0.1) by default.

    Call arguments: `gradient` and `parameters` `[P]`; `loss` and `state` are not used. Returns
    `(parameters, state)`. P is fixed when the cell is built.

    Example:

    >>> cell = MetaSGDCell(keras.initializers.Constant(0.5))
    >>> theta, state = cell(keras.ops.ones(3), keras.ops.zeros(()), keras.ops.ones(3), ())
    >>> [float(value) for value in theta]
    [0.5, 0.5, 0.5]
    """

    rate_initializer = Part()

    def __init__(self, rate_initializer=None, **kwargs):
        super().__init__(**kwargs)
        self.rate_initializer = keras.initializers.get(
            rate_initializer or keras.initializers.RandomUniform(0.005, 0.1)
        )

    def build(self, parameters_shape):
        shape = tuple(parameters_shape)
        self.alpha = self.add_weight(name="alpha", shape=shape, initializer=self.rate_initializer)

    def call(self, gradient, loss, parameters, state):
        return meta_sgd_update(gradient, parameters, self.alpha), state

    def get_config(self):
        return {
            **super().get_config(),
            "rate_initializer": keras.initializers.serialize(self.rate_initializer),
        }
