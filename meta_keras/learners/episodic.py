"""Learners that learn classes from examples: a support set."""

import tensorflow as tf

from meta_keras.learners.episode_checks import (
    after,
    check_parts,
    checked_images,
    checked_labels,
    part_of,
)
from meta_keras.learners.learner import Learner, one_by_one


class EpisodicLearner(Learner):
    """A Keras model over few-shot episodes.

    One batch element is one episode (task) of N classes, K support and Q query pictures a class:

        x = {"support_images": [B, N*K, H, W, C],
             "support_labels": [B, N*K] int,
             "query_images":   [B, N*Q, H, W, C]}
        y =  query labels      [B, N*Q] int, in [0, N)

    Pictures are numbers of any type, in the shape that the network takes; they are taken as floats.
    `learner(x)` gives query logits `[B, N*Q, N]`. See `Learner` for the rest.

    Subclasses implement `is_transductive`, `episode_logits` (one episode) and `adapt` (an ordinary
    classifier), and keep the Keras model that sees the pictures as `network`.
    """

    def episode_logits(self, support_images, support_labels, query_images, training):
        """Logits `[N*Q, N]` of one episode's query pictures."""
        raise NotImplementedError

    def adapt(self, support_images, support_labels):
        """An ordinary `keras.Model`, pictures to logits `[batch, N]`, for one support set."""
        raise NotImplementedError

    def checked_support(self, support_images, support_labels):
        """The labels of the support sets of a batch, int32 `[B, N*K]`, checked.

        Args:
            support_images: `[B, N*K, ...]`.
            support_labels: `[B, N*K]`.

        Raises:
            ValueError: they are no classes 0 to N-1 with a picture each in every episode. In a
                graph that is a `tf.errors.InvalidArgumentError`, of which `fit` and the like make
                a `ValueError`.
        """
        return checked_labels(type(self).__name__, support_labels, support_images, self.num_classes)

    def checked_inputs(self, x):
        name, network = type(self).__name__, self.network
        check_parts(name, x, {"support_images": network, "query_images": network})
        labels = self.checked_support(x["support_images"], part_of(name, x, "support_labels"))
        images = after(labels, x["support_images"])
        return {**x, "support_images": images, "support_labels": labels}

    def checked_episodes(self, x):
        """Support pictures, labels and query pictures of a batch, checked; pictures as floats.

        Raises:
            ValueError: see `checked_inputs`.
        """
        x = self.checked_inputs(x)
        support, query = (
            tf.cast(x[name], self.variable_dtype) for name in ("support_images", "query_images")
        )
        return support, x["support_labels"], query

    def checked_support_set(self, support_images, support_labels):
        """One support set as `adapt` takes it, in tensors, checked: `(images, labels)`.

        Raises:
            ValueError: labels or pictures do not fit.
        """
        images = checked_images(
            type(self).__name__,
            "support_images",
            support_images,
            self.network,
            self.variable_dtype,
        )
        labels = tf.convert_to_tensor(support_labels)
        return images, self.checked_support(images[None], labels[None])[0]

    def call(self, x, training=False):
        return self.map_episodes(
            lambda *episode: self.episode_logits(*episode, training=training), x, self.compute_dtype
        )

    def map_episodes(self, function, x, dtypes):
        """What a function gives for every episode of a batch, stacked.

        Args:
            function: `(support_images, support_labels, query_images)` of one episode to a tensor
                or a nest of tensors.
            x: a batch, see above.
            dtypes: of the results, in the same nest.
        """
        return one_by_one(function, self.checked_episodes(x), dtypes)
