"""Learners that compare embeddings: one network for every task, and nothing to adapt."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from meta_keras.arguments import Part
from meta_keras.batch_norm import uses_batch_statistics
from meta_keras.functional import input_shape
from meta_keras.learners.episodic import EpisodicLearner
from meta_keras.learners.learner import one_by_one


def class_means(embeddings, members):
    """c_n = 1 / |S_n| sum of z_i over the support pictures S_n of class n.

    Args:
        embeddings: `[..., S, D]`.
        members: `[..., S, N]`, one-hot labels.

    Returns:
        `[..., N, D]`.
    """
    sums = ops.matmul(ops.swapaxes(members, -1, -2), embeddings)
    return sums / ops.expand_dims(ops.sum(members, axis=-2), -1)


def cosine_similarity(a, b):
    """cos(a_i, b_j) for every i and j; 0 where a vector is zero.

    Args:
        a: `[..., I, D]`.
        b: `[..., J, D]`.

    Returns:
        `[..., I, J]`.
    """
    return ops.matmul(unit_vectors(a), ops.swapaxes(unit_vectors(b), -1, -2))


def unit_vectors(x, epsilon=1e-12):
    """x / max(||x||, epsilon): 0 where a vector is zero, and so is its derivative there.

    `keras.ops.normalize` gives the same, but of a zero vector (a network's last ReLU may be dead
    for a picture) no number as the derivative.

    Args:
        x: `[..., D]`.
    """
    square = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return x * ops.rsqrt(ops.maximum(square, epsilon**2))


class MetricLearner(EpisodicLearner):
    """A learner that embeds pictures and classifies by comparing query and support embeddings.

    Subclasses implement `compare`. Nothing depends on the number of classes or shots: N is read
    from the labels, so training with more classes than testing is nothing special.

    Batch normalisation: in training, an episode's support and query pictures are normalised
    together, by the statistics of that episode alone (one call of the network an episode, as in
    the official code of Snell et al. 2017), and the networks' moving statistics are updated. At
    test the moving statistics are used and never change: every picture is embedded on its own,
    the whole meta-batch in one call, and the learner is not transductive.

    Args:
        embedding: a built `keras.Model` from images to vectors or feature maps.

    Raises:
        ValueError: `embedding` is not built.
    """

    networks = ("embedding",)
    embedding = Part()

    def __init__(self, embedding, **kwargs):
        super().__init__(**kwargs)
        if not embedding.built:
            raise ValueError(
                f"{type(self).__name__}: embedding {embedding.name!r} is not built: call it once "
                "on data, or call embedding.build(input_shape), before making a learner of it."
            )
        input_shape(embedding)  # Refuses several inputs.
        self.embedding = embedding
        # N may differ from batch to batch, for each of which XLA compiles anew: only if asked to.
        self.jit_compile = False
        self.built = True

    def build(self, input_shape=None):
        """Nothing is left to build: all networks have their weights from the start."""

    def compile(self, optimizer="rmsprop", loss=None, *, jit_compile=False, **kwargs):
        """See `Learner.compile`; without XLA, unless `jit_compile=True`."""
        super().compile(optimizer, loss, jit_compile=jit_compile is True, **kwargs)

    def for_xla(self, x):
        labels = tf.convert_to_tensor(x["support_labels"])
        count = tf.reduce_max(labels) + 1
        return {**x, "classes": tf.zeros(tf.stack([tf.shape(labels)[0], count, 0]))}

    def outputs_of(self, x):
        if isinstance(x, dict) and "classes" in x:
            return tf.shape(x["classes"])[1]
        return tf.reduce_max(self.checked_inputs(x)["support_labels"]) + 1

    def is_transductive(self):
        return False

    @property
    def network(self):
        """The embedding network, by the name it has in every learner."""
        return self.embedding

    def embedding_size(self):
        """D, as far as the embedding network tells.

        Raises:
            ValueError: it is neither functional nor sequential.
        """
        if not getattr(self.embedding, "outputs", None):
            raise ValueError(
                f"{type(self).__name__}: embedding {self.embedding.name!r} must be a functional or "
                "sequential model: the size of its output must be known from the start."
            )
        return int(np.prod(self.embedding.output_shape[1:]))

    def embed(self, images, training=False):
        """Embeddings `[batch, D]` of `images` `[batch, H, W, C]`; feature maps are flattened."""
        embeddings = self.embedding(images, training=training)
        embeddings = ops.reshape(embeddings, (-1, int(np.prod(embeddings.shape[1:]))))
        return ops.cast(embeddings, self.compute_dtype)

    def compare(self, support, members, query, training=False):
        """Logits of query pictures, of Keras operations and layers only.

        Args:
            support: embeddings `[B, S, D]`.
            members: one-hot labels of the support pictures, `[B, S, N]`.
            query: embeddings `[B, Q, D]`; a symbolic Keras tensor with unknown Q in `adapt`.
            training: passed on to networks.

        Returns:
            `[B, Q, N]`.
        """
        raise NotImplementedError

    def call(self, x, training=False):
        support_images, labels, query_images = self.checked_episodes(x)
        count = self.outputs_of({**x, "support_labels": labels})
        members = tf.one_hot(labels, count, dtype=self.compute_dtype)
        episodes = support_images, members, query_images
        if not (training and uses_batch_statistics(self)):
            return self._logits(*episodes, training=training)

        def logits(*episode):
            return self._logits(*(part[None] for part in episode), training=training)[0]

        return one_by_one(logits, episodes, self.compute_dtype)

    def _logits(self, support_images, members, query_images, training):
        images = tf.concat([support_images, query_images], axis=1)
        batch, count = ops.shape(images)[:2]
        embeddings = self.embed(ops.reshape(images, (-1, *images.shape[2:])), training)
        embeddings = ops.reshape(embeddings, (batch, count, embeddings.shape[-1]))
        shots = ops.shape(support_images)[1]
        return self.compare(embeddings[:, :shots], members, embeddings[:, shots:], training)

    def adapt(self, support_images, support_labels):
        """An ordinary Keras classifier for one support set; it treats every picture on its own.

        Classes need not have equally many pictures here.

        Args:
            support_images: `[S, H, W, C]`.
            support_labels: `[S]` int in `[0, N)`.

        Returns:
            A `keras.Model`, `[batch, H, W, C] -> logits [batch, N]`, of Keras' own layers and
            operations only (as far as the networks are). It shares nothing with the learner.

        Raises:
            ValueError: labels or pictures do not fit, or a network is of a class that Keras cannot
                rebuild by its name.
        """
        support_images, labels = self.checked_support_set(support_images, support_labels)
        try:
            private = type(self).from_config(self.get_config())
        except TypeError as error:
            names = ", ".join(type(getattr(self, name)).__name__ for name in self.networks)
            raise ValueError(
                f"{type(self).__name__}: adapt copies its networks ({names}), whose classes must "
                "be known to Keras: decorate them with @keras.saving.register_keras_serializable()."
            ) from error
        for variable, own in zip(self.variables, private.variables, strict=True):
            own.assign(variable)
        support = private.embed(support_images)
        members = tf.one_hot(labels, tf.reduce_max(labels) + 1, dtype=self.compute_dtype)
        images = keras.Input(support_images.shape[1:], dtype=self.compute_dtype, name="image")
        logits = private.classifier_logits(support, members, private.embed(images))
        return keras.Model(images, logits, name="classifier")

    def classifier_logits(self, support, members, query):
        """Symbolic logits `[batch, N]` of symbolic embeddings `query` `[batch, D]`.

        Args:
            support: embeddings `[S, D]`, a tensor: the support set becomes part of the classifier.
            members: one-hot labels `[S, N]`, likewise.
        """
        return ops.squeeze(
            self.compare(support[None], members[None], ops.expand_dims(query, 0)), axis=0
        )
