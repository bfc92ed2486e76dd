"""The contract of every learner: an episode in, logits of its query pictures out."""

import keras
import tensorflow as tf

from meta_keras.presets import PresetError, load_preset, save_preset


class EpisodicLearner(keras.Model):
    """A Keras model over few-shot episodes.

    One batch element is one episode (task) of N classes, K support and Q query pictures a class:

        x = {"support_images": [B, N*K, H, W, C] float,
             "support_labels": [B, N*K] int,
             "query_images":   [B, N*Q, H, W, C] float}
        y =  query labels      [B, N*Q] int, in [0, N)

    `learner(x)` gives query logits `[B, N*Q, N]`, so that plain Keras drives it: `compile`, `fit`,
    `evaluate`, `predict`, `save`, `keras.models.load_model`.

    Subclasses implement `episode_logits` (one episode) and `adapt` (an ordinary classifier), and
    keep the Keras model that sees the pictures as `network`.
    """

    def is_transductive(self):
        """Whether the logits of one query picture depend on the other query pictures."""
        raise NotImplementedError

    def episode_logits(self, support_images, support_labels, query_images, training):
        """Logits `[N*Q, N]` of one episode's query pictures."""
        raise NotImplementedError

    def meta_gradient(self, x, y):
        """The gradient that training follows at a batch `(x, y)`: a list, one per trainable weight.

        Here that of the compiled loss of the query logits. Looking at a gradient is no training:
        it leaves moving statistics as they are.
        """
        statistics = [variable.numpy() for variable in self.non_trainable_variables]
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        for variable, value in zip(self.non_trainable_variables, statistics, strict=True):
            variable.assign(value)
        return tape.gradient(loss, [variable.value for variable in self.trainable_variables])

    def adapt(self, support_images, support_labels):
        """An ordinary `keras.Model`, pictures to logits `[batch, N]`, for one support set."""
        raise NotImplementedError

    @classmethod
    def from_preset(cls, preset):
        """A trained learner, not compiled.

        Args:
            preset: name of a preset inside the package (`meta_keras.presets.builtin_presets()`),
                or the path of a folder written by `save_to_preset`.

        Raises:
            PresetError: there is no such preset, it is damaged, or holds another kind of model.
        """
        learner = load_preset(preset)
        if not isinstance(learner, cls):
            raise PresetError(
                f"preset={str(preset)!r} holds a {type(learner).__name__}, not a {cls.__name__}."
            )
        return learner

    def save_to_preset(self, path, card=None):
        """Writes this learner to a new folder `path` for `from_preset`.

        Args:
            path: a folder that does not exist yet or is empty.
            card: JSON-able dict: how the weights were made and what they reach.

        Raises:
            PresetError: `path` exists and is not an empty folder.
        """
        save_preset(self, path, card)

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
        # Keras' symbolic build under a distribution strategy makes every input a float.
        labels = tf.cast(x["support_labels"], tf.int32)
        return one_by_one(function, (x["support_images"], labels, x["query_images"]), dtypes)


def one_by_one(function, batches, dtypes):
    """What a function gives for every element of a batch, stacked.

    Args:
        function: of one element of each of `batches`, to a tensor or a nest of tensors.
        batches: tuple of tensors `[B, ...]`.
        dtypes: of the results, in the same nest.
    """
    if batches[0].shape[0] is None:
        return tf.map_fn(lambda parts: function(*parts), batches, fn_output_signature=dtypes)
    # A loop in Python lets the elements run side by side, one a core; on a CPU that is twice as
    # fast as tf.map_fn.
    results = [function(*parts) for parts in zip(*map(tf.unstack, batches), strict=True)]
    return tf.nest.map_structure(lambda *parts: tf.stack(parts), *results)
