"""R2-D2: ridge regression on embeddings, solved in closed form and differentiated through."""

import math

import keras
from keras import ops

from meta_keras.arguments import Part, boolean, positive
from meta_keras.learners.metric import MetricLearner, unit_vectors

# lambda for features of length 1 of a frozen backbone: the best of six with five shots on the
# validation classes of CIFAR-FS.
FROZEN_RIDGE = 0.5


def ridge_regression(x, y, ridge):
    """W = argmin ||X W - Y||^2 + lambda ||W||^2  (Bertinetto et al. 2019, equation 5).

        W = X^T (X X^T + lambda I)^-1 Y

    By Woodbury's identity the system has the size of the support set, S x S, not D x D.

    Args:
        x: X, `[..., S, D]`.
        y: Y, `[..., S, N]`.
        ridge: lambda, a positive scalar.

    Returns:
        W, `[..., D, N]`.
    """
    x_t = ops.swapaxes(x, -1, -2)
    system = ops.matmul(x, x_t) + ridge * ops.eye(x.shape[-2] or ops.shape(x)[-2], dtype=x.dtype)
    return ops.matmul(x_t, ops.solve(system, y))


@keras.saving.register_keras_serializable(package="meta_keras")
class R2D2(MetricLearner):
    """Classifies by ridge regression from an episode's embeddings to its one-hot labels.

        W = X^T (X X^T + lambda I)^-1 Y,      logits = alpha f(x) W + beta

    X are the support embeddings and Y their one-hot labels. The embedding, lambda, alpha and beta
    are learned end to end through the closed form, which has exact derivatives. On a frozen
    backbone it is plain ridge regression, with the lambda given.

    Luca Bertinetto, João Henriques, Philip Torr and Andrea Vedaldi, "Meta-learning with
    differentiable closed-form solvers", ICLR 2019, https://arxiv.org/abs/1805.08136

    Args:
        embedding: f, a built `keras.Model` from images to vectors.
        ridge: lambda to begin with. It is kept as its logarithm, so that it stays positive.
        scale: alpha to begin with; beta begins with 0. Regression to one-hot labels gives numbers
            about 0 to 1, which a softmax takes for little difference.
        unit: whether embeddings are first scaled to length 1, so that one lambda fits whatever
            backbone; the paper does not.

    Call arguments and shapes: see `EpisodicLearner`.

    Raises:
        ValueError: `embedding` is not built, or another argument is out of range.

    Example:

    >>> from meta_keras.networks import conv4_embedding
    >>> learner = R2D2(conv4_embedding())
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> learner.compile("adam", loss, metrics=["accuracy"])
    """

    method = "r2d2"
    ridge = Part(positive)
    scale = Part(positive)
    unit = Part(boolean)

    def __init__(self, embedding, ridge=1.0, scale=10.0, unit=False, **kwargs):
        super().__init__(embedding, **kwargs)
        self.ridge, self.scale, self.unit = ridge, scale, unit
        self.log_ridge = self._number("log_ridge", math.log(self.ridge))
        self.alpha = self._number("alpha", self.scale)
        self.beta = self._number("beta", 0.0)

    def _number(self, name, start):
        number = self.add_weight(shape=(), initializer="zeros", name=name)
        number.assign(start)  # Keras' constant initializer would round it to float32.
        return number

    def _features(self, embeddings):
        return unit_vectors(embeddings) if self.unit else embeddings

    def _weights(self, support, members):
        """alpha W, `[..., D, N]`."""
        support = self._features(support)
        return self.alpha * ridge_regression(support, members, ops.exp(self.log_ridge))

    def compare(self, support, members, query, training=False):
        return ops.matmul(self._features(query), self._weights(support, members)) + self.beta

    def classifier_logits(self, support, members, query):
        """The linear classifier that the regression has found."""
        linear = keras.layers.Dense(members.shape[-1], dtype=self.compute_dtype, name="regression")
        linear.build(query.shape)
        linear.kernel.assign(self._weights(support, members))
        linear.bias.assign(ops.broadcast_to(self.beta, linear.bias.shape))
        return linear(self._features(query))

    def get_config(self):
        return {
            **super().get_config(),
            "ridge": self.ridge,
            "scale": self.scale,
            "unit": self.unit,
        }
