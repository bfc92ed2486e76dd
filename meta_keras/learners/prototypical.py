"""Prototypical networks: a class is the mean of its embedded examples."""

import keras
from keras import ops

from meta_keras.arguments import Argument, one_of, positive
from meta_keras.learners.metric import MetricLearner, class_means, cosine_similarity, unit_vectors

DISTANCES = ("euclidean", "cosine")


def squared_euclidean(a, b):
    """||a_i - b_j||^2 for every i and j: `[..., I, D], [..., J, D] -> [..., I, J]`."""
    return ops.sum(ops.square(ops.expand_dims(a, -2) - ops.expand_dims(b, -3)), axis=-1)


@keras.saving.register_keras_serializable(package="meta_keras")
class PrototypicalNetwork(MetricLearner):
    """Classifies by the distance to class prototypes, the means of the support embeddings.

        p(y = n | x) = softmax_n(-d(f(x), c_n) / temperature),   c_n = mean of f over S_n

    With the squared Euclidean distance this is a linear classifier on the embedding (section
    2.4), and `adapt` returns it as one. Training with more classes than testing helps (section
    3.1: 60-way training for 5-way tasks).

    Jake Snell, Kevin Swersky and Richard Zemel, "Prototypical networks for few-shot learning",
    NeurIPS 2017, https://arxiv.org/abs/1703.05175

    Args:
        embedding: a built `keras.Model` from images to vectors, e.g. `networks.conv4_embedding()`.
        distance: `"euclidean"`, squared, which the paper recommends; or `"cosine"`, whose logits
            are cos(f(x), c_n) / temperature.
        temperature: the paper's is 1. Cosines lie in [-1, 1], so that they need a lower one, about
            0.1, for probabilities near 1.

    Call arguments and shapes: see `EpisodicLearner`.

    Raises:
        ValueError: `embedding` is not built, or another argument is out of range.

    Example:

    >>> from meta_keras.networks import conv4_embedding
    >>> learner = PrototypicalNetwork(conv4_embedding())
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> learner.compile("adam", loss, metrics=["accuracy"])
    """

    method = "prototypical"
    distance = Argument(one_of(DISTANCES))
    temperature = Argument(positive)

    def __init__(self, embedding, distance="euclidean", temperature=1.0, **kwargs):
        super().__init__(embedding, **kwargs)
        self.distance = distance
        self.temperature = temperature

    def compare(self, support, members, query, training=False):
        prototypes = class_means(support, members)
        if self.distance == "cosine":
            return cosine_similarity(query, prototypes) / self.temperature
        return -squared_euclidean(query, prototypes) / self.temperature

    def classifier_logits(self, support, members, query):
        """The equivalent linear classifier (Snell et al. 2017, equation 8).

        -||z - c_n||^2 = 2 c_n . z - ||c_n||^2 - ||z||^2, the last the same for every class.
        """
        prototypes = class_means(support, members)
        linear = keras.layers.Dense(
            len(prototypes),
            use_bias=self.distance == "euclidean",
            dtype=self.compute_dtype,
            name="prototypes",
        )
        linear.build(query.shape)
        if self.distance == "cosine":
            linear.kernel.assign(ops.transpose(unit_vectors(prototypes)) / self.temperature)
            return linear(unit_vectors(query))
        linear.kernel.assign(2.0 * ops.transpose(prototypes) / self.temperature)
        linear.bias.assign(-ops.sum(ops.square(prototypes), axis=-1) / self.temperature)
        return linear(query) - ops.sum(ops.square(query), -1, keepdims=True) / self.temperature

    def get_config(self):
        return {
            **super().get_config(),
            "distance": self.distance,
            "temperature": self.temperature,
        }
