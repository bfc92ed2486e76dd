"""Learners that learn classes from descriptors, without an example."""

from meta_keras.learners.learner import Learner, one_by_one


class DescribedLearner(Learner):
    """A Keras model over zero-shot episodes: each class has a descriptor and no picture.

    One batch element is one episode (task) of N classes with Q query pictures a class:

        x = {"descriptors":  [B, N, ...] float,
             "query_images": [B, N*Q, H, W, C] float}
        y =  query labels    [B, N*Q] int, in [0, N)

    `learner(x)` gives query logits `[B, N*Q, N]`. See `Learner` for the rest. In training every
    episode goes through the networks alone, so that batch normalisation does not mix episodes; at
    test all of a batch go together.

    Subclasses implement `is_transductive`, `batch_logits` and `adapt`, and keep the Keras model
    that sees the pictures as `network`.
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

    def outputs_of(self, x):
        return x["descriptors"].shape[1]

    def call(self, x, training=False):
        episodes = (x["descriptors"], x["query_images"])
        if not training:
            return self.batch_logits(*episodes)

        def logits(*episode):
            return self.batch_logits(*(part[None] for part in episode), training=True)[0]

        return one_by_one(logits, episodes, self.compute_dtype)
