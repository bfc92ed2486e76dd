"""The contract of every learner: an episode in, logits of its query pictures out."""

import keras
import tensorflow as tf


class EpisodicLearner(keras.Model):
    """A Keras model over few-shot episodes.

    One batch element is one episode (task) of N classes, K support and Q query pictures a class:

        x = {"support_images": [B, N*K, H, W, C] float,
             "support_labels": [B, N*K] int,
             "query_images":   [B, N*Q, H, W, C] float}
        y =  query labels      [B, N*Q] int, in [0, N)

    `learner(x)` gives query logits `[B, N*Q, N]`, so that plain Keras drives it: `compile`, `fit`,
    `evaluate`, `predict`, `save`, `keras.models.load_model`.

    Subclasses implement `episode_logits` (one episode) and `adapt` (an ordinary classifier).
    """

    def is_transductive(self):
        """Whether the logits of one query picture depend on the other query pictures."""
        raise NotImplementedError

    def episode_logits(self, support_images, support_labels, query_images, training):
        """Logits `[N*Q, N]` of one episode's query pictures."""
        raise NotImplementedError

    def adapt(self, support_images, support_labels):
        """An ordinary `keras.Model`, pictures to logits `[batch, N]`, for one support set."""
        raise NotImplementedError

    def call(self, x, training=False):
        episodes = (x["support_images"], x["support_labels"], x["query_images"])
        if episodes[0].shape[0] is None:
            return tf.map_fn(
                lambda episode: self.episode_logits(*episode, training=training),
                episodes,
                fn_output_signature=self.compute_dtype,
            )
        # A loop in Python lets the episodes run side by side, one a core; on a CPU that is twice
        # as fast as tf.map_fn.
        return tf.stack(
            [
                self.episode_logits(*episode, training=training)
                for episode in zip(*map(tf.unstack, episodes), strict=True)
            ]
        )
