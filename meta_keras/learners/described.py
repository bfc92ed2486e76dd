"""Learners that learn classes from descriptors, without an example."""

import tensorflow as tf

from meta_keras.learners.episode_checks import check_parts, checked_images
from meta_keras.learners.learner import Learner, one_by_one


class DescribedLearner(Learner):
    """A Keras model over zero-shot episodes: each class has a descriptor and no picture.

    One batch element is one episode (task) of N classes with Q query pictures a class:

        x = {"descriptors":  [B, N, ...],
             "query_images": [B, N*Q, H, W, C]}
        y =  query labels    [B, N*Q] int, in [0, N)

    Both are numbers of any type, in the shapes that the networks take; they are taken as floats.
    `learner(x)` gives query logits `[B, N*Q, N]`. See `Learner` for the rest. In training every
    episode goes through the networks alone, so that batch normalisation does not mix episodes; at
    test all of a batch go together.

    Subclasses implement `is_transductive`, `batch_logits` and `adapt`, and keep the Keras models
    that see the pictures and the descriptors as `network` and `descriptor_network`.
    """

    def batch_logits(self, descriptors, query_images, training=False):
        """Logits `[B, N*Q, N]` of a batch of episodes.

        Args:
            descriptors: `[B, N, ...]`.
            query_images: `[B, N*Q, H, W, C]`.
            training: passed on to networks.
        """
        raise NotImplementedError

    def adapt(self, descriptors):
        """An ordinary `keras.Model`, pictures to logits `[batch, N]`, for described classes."""
        raise NotImplementedError

    def checked_inputs(self, x):
        networks = {"descriptors": self.descriptor_network, "query_images": self.network}
        check_parts(type(self).__name__, x, networks)
        return x

    def checked_descriptors(self, descriptors):
        """The descriptors `[N, ...]` that `adapt` takes, as a tensor of floats, checked.

        Raises:
            ValueError: their network does not take them.
        """
        return checked_images(
            type(self).__name__,
            "descriptors",
            descriptors,
            self.descriptor_network,
            self.variable_dtype,
        )

    def outputs_of(self, x):
        return self.checked_inputs(x)["descriptors"].shape[1]

    def call(self, x, training=False):
        x = self.checked_inputs(x)
        episodes = tuple(
            tf.cast(x[name], self.variable_dtype) for name in ("descriptors", "query_images")
        )
        if not training:
            return self.batch_logits(*episodes)

        def logits(*episode):
            return self.batch_logits(*(part[None] for part in episode), training=True)[0]

        return one_by_one(logits, episodes, self.compute_dtype)
