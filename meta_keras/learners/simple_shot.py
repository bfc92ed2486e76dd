"""SimpleShot: the nearest class mean of features that are centred and scaled to length 1."""

import keras
import tensorflow as tf
from keras import ops

from meta_keras.arguments import Argument, Part, one_of, positive
from meta_keras.learners.metric import MetricLearner, class_means, unit_vectors
from meta_keras.learners.prototypical import squared_euclidean

CENTRES = ("none", "support", "base")


def centred_unit_vectors(features, centre):
    """CL2N: (x - centre) / ||x - centre||  (Wang et al. 2019, section 2).

    Args:
        features: `[..., D]`.
        centre: `[..., D]` that broadcasts; 0 for L2N.

    Returns:
        `[..., D]`.
    """
    return unit_vectors(features - centre)


def support_centre(features, members):
    """The mean of the class means of a support set: every class counts the same.

    Args:
        features: `[..., S, D]`.
        members: one-hot labels `[..., S, N]`.

    Returns:
        `[..., 1, D]`.
    """
    return ops.mean(class_means(features, members), axis=-2, keepdims=True)


@keras.saving.register_keras_serializable(package="meta_keras")
class SimpleShot(MetricLearner):
    """Classifies by the nearest class mean of centred features of length 1.

        z = (f(x) - m) / ||f(x) - m||          m = mean of f over the base classes
        p(y = n | x) = softmax_n(-||z - c_n||^2 / temperature),   c_n = mean of z over S_n

    Nothing is learned from episodes: the embedding is a frozen backbone, or a network that was
    trained on the base classes by whatever means.

    Yan Wang, Wei-Lun Chao, Kilian Weinberger and Laurens van der Maaten, "SimpleShot: revisiting
    nearest-neighbor classification for few-shot learning", 2019, https://arxiv.org/abs/1911.04623

    Args:
        embedding: f, a built `keras.Model` from images to vectors, e.g. of
            `networks.load_backbone`.
        centre: what m is. `"support"`: the mean of the support set's class means, where no base
            classes are at hand; `"base"`: as in the paper, the mean that `centre_on` has been
            given, 0 before; `"none"`: 0, which the paper calls L2N.
        temperature: distances of such features lie in [0, 4], so that probabilities near 1 need a
            low one. Answers do not depend on it.

    Call arguments and shapes: see `EpisodicLearner`.

    Raises:
        ValueError: `embedding` is not built, or another argument is out of range; or the centre is
            `"base"` and the embedding does not tell the size of its output.

    Example:

    >>> from meta_keras.networks import conv4_embedding
    >>> learner = SimpleShot(conv4_embedding())
    >>> classifier = learner.adapt(ops.ones((2, 28, 28, 1)), [0, 1])
    """

    method = "simple_shot"
    centre = Part(one_of(CENTRES))
    temperature = Argument(positive)

    def __init__(self, embedding, centre="support", temperature=0.1, **kwargs):
        super().__init__(embedding, **kwargs)
        self.centre = centre
        self.temperature = temperature
        if centre == "base":
            self.base_mean = self.add_weight(
                shape=(self.embedding_size(),),
                initializer="zeros",
                trainable=False,
                name="base_mean",
            )

    def centre_on(self, features):
        """Takes the mean of the base classes' features as m.

        Args:
            features: `[n, D]`, as `embed` gives them.

        Raises:
            ValueError: the centre is not `"base"`, or the features have another shape.
        """
        if self.centre != "base":
            raise ValueError(
                f"SimpleShot: centre={self.centre!r} takes no mean of base classes; make the "
                "learner with centre='base'."
            )
        features = tf.convert_to_tensor(features)
        shape = tuple(features.shape)
        if len(shape) != 2 or shape[1] != self.base_mean.shape[0] or not shape[0]:
            raise ValueError(
                f"SimpleShot: features must be [n, {self.base_mean.shape[0]}], got {list(shape)}."
            )
        self.base_mean.assign(tf.reduce_mean(tf.cast(features, self.variable_dtype), axis=0))

    def compare(self, support, members, query, training=False):
        centres = {
            "none": lambda: 0.0,
            "support": lambda: support_centre(support, members),
            "base": lambda: ops.convert_to_tensor(self.base_mean),
        }
        centre = centres[self.centre]()
        support, query = (centred_unit_vectors(part, centre) for part in (support, query))
        return -squared_euclidean(query, class_means(support, members)) / self.temperature

    def get_config(self):
        return {**super().get_config(), "centre": self.centre, "temperature": self.temperature}
