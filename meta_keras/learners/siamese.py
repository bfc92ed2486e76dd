"""Siamese networks: whether two pictures show the same class."""

import keras
import tensorflow as tf
from keras import ops

from meta_keras.learners.class_loss import ClassLoss
from meta_keras.learners.metric import MetricLearner


def pair_weights(labels, num_classes, dtype="float32"):
    """Weights of the pairs (query picture, class): as many same as different ones.

    1/2 for the one same pair of every query picture, 1 / (2 (N - 1)) for each different one: what
    balanced pairs drawn at random are on average. With one class all pairs are the same, and a
    query picture's one pair has the weight 1.

    Args:
        labels: `[..., Q]` int.
        num_classes: N.

    Returns:
        `[..., Q, N]`; every query picture's weights sum to 1.
    """
    same = tf.one_hot(labels, num_classes, dtype=dtype)
    others = tf.cast(num_classes - 1, dtype)
    share = tf.where(others > 0, tf.cast(0.5, dtype), tf.cast(1.0, dtype))
    return share * same + 0.5 * (1.0 - same) / tf.maximum(others, 1.0)


@keras.saving.register_keras_serializable(package="meta_keras")
class BalancedPairsLoss(ClassLoss):
    """Koch's loss: binary cross-entropy of same/different pairs, both kinds with equal weight.

        -log p(same)          for the query picture with its own class
        -log(1 - p(same))     for the query picture with another class,   p = sigmoid(logits)

    The pairs are those of the episode, every query picture with every class, weighted by
    `pair_weights`. With one support picture a class each logit is one pair of pictures.

    Call arguments: labels `[..., Q]` or `[..., Q, 1]` int, logits `[..., Q, N]`.

    Example:

    >>> round(float(BalancedPairsLoss()(ops.array([0]), ops.zeros((1, 3)))), 4)  # log 2
    0.6931
    """

    def of_classes(self, labels, logits):
        num_classes = tf.shape(logits)[-1]
        same = tf.one_hot(labels, num_classes, dtype=logits.dtype)
        losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=same, logits=logits)
        return tf.reduce_sum(pair_weights(labels, num_classes, logits.dtype) * losses, axis=-1)


@keras.saving.register_keras_serializable(package="meta_keras")
class SiameseNetwork(MetricLearner):
    """Tells from two pictures whether they show the same class, by a weighted L1 distance.

        p(same | x_1, x_2) = sigmoid(sum_j alpha_j |h_j(x_1) - h_j(x_2)| + b)

    `verify` answers that question. For a task of N classes, the logit of a class is the mean, over
    its K support pictures, of the pair's logit; the answer is the class of the highest. With one
    shot that is the paper's decision (section 4.3).

    Train it with `BalancedPairsLoss()`, on one-shot episodes: then every logit is a pair of
    pictures, and half of the weight is on pairs of the same class.

    Gregory Koch, Richard Zemel and Ruslan Salakhutdinov, "Siamese neural networks for one-shot
    image recognition", ICML deep learning workshop 2015,
    https://www.cs.cmu.edu/~rsalakhu/papers/oneshot1.pdf

    Args:
        embedding: h, a built functional or sequential `keras.Model` from images to vectors.

    Call arguments and shapes: see `EpisodicLearner`.

    Raises:
        ValueError: `embedding` is not built or does not tell the size of its output.

    Example:

    >>> from meta_keras.networks import conv4_embedding
    >>> learner = SiameseNetwork(conv4_embedding())
    >>> learner.compile("adam", BalancedPairsLoss(), metrics=["accuracy"])
    """

    method = "siamese"

    def __init__(self, embedding, **kwargs):
        super().__init__(embedding, **kwargs)
        size = self.embedding_size()
        # A distance from the start: pictures are different as far as they are apart.
        self.comparison = keras.layers.Dense(
            1,
            kernel_initializer=keras.initializers.Constant(-1.0 / size),
            dtype=self.dtype_policy,
            name="comparison",
        )
        self.comparison.build((None, size))

    def pair_logits(self, a, b):
        """log p / (1 - p) of same, for embeddings `[..., D]` that broadcast."""
        return ops.squeeze(self.comparison(ops.absolute(a - b)), axis=-1)

    def compare(self, support, members, query, training=False):
        pairs = self.pair_logits(ops.expand_dims(query, 2), ops.expand_dims(support, 1))
        return ops.matmul(pairs, members / ops.sum(members, axis=1, keepdims=True))

    def verify(self, images_a, images_b):
        """Probability that two pictures show the same class.

        Args:
            images_a, images_b: `[batch, H, W, C]`.

        Returns:
            Tensor `[batch]`, each in [0, 1]; the same for both orders.
        """
        pictures = (
            ops.convert_to_tensor(part, self.compute_dtype) for part in (images_a, images_b)
        )
        return ops.sigmoid(self.pair_logits(*map(self.embed, pictures)))
