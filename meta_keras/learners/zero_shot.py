"""Prototypical networks for zero-shot learning: descriptors of the classes, no examples."""

import keras
from keras import ops

from meta_keras.arguments import Part
from meta_keras.learners.described import DescribedLearner
from meta_keras.learners.metric import unit_vectors
from meta_keras.learners.prototypical import squared_euclidean


@keras.saving.register_keras_serializable(package="meta_keras")
class ZeroShotPrototypicalNetwork(DescribedLearner):
    """Classifies by the distance to prototypes that are embedded descriptors of the classes.

        p(y = n | x) = softmax_n(-||f(x) - c_n||^2),   c_n = g(v_n) / ||g(v_n)||

    f embeds pictures, g the descriptor v_n. The prototypes have unit length, "since the images and
    the descriptors come from different domains". Batch normalisation takes the statistics of every
    episode alone in training, moving statistics at test: the learner is not transductive.

    Jake Snell, Kevin Swersky and Richard Zemel, "Prototypical networks for few-shot learning",
    NeurIPS 2017, section 2.7, https://arxiv.org/abs/1703.05175

    Args:
        network: f, a built `keras.Model` from images to vectors `[batch, D]`.
        descriptor_network: g, a built `keras.Model` from descriptors to vectors `[batch, D]`.

    Call arguments and shapes: see `DescribedLearner`.

    Raises:
        ValueError: a network is not built, or they do not give vectors of the same size.

    Example:

    >>> from meta_keras.networks import conv4
    >>> f = conv4(8)
    >>> g = keras.Sequential([keras.Input((312,)), keras.layers.Dense(8)])
    >>> learner = ZeroShotPrototypicalNetwork(f, g)
    >>> learner.adapt(ops.ones((5, 312))).output_shape
    (None, 5)
    """

    method = "zero_shot"
    networks = ("network", "descriptor_network")
    network = Part()
    descriptor_network = Part()

    def __init__(self, network, descriptor_network, **kwargs):
        super().__init__(**kwargs)
        shapes = []
        for argument, model in (("network", network), ("descriptor_network", descriptor_network)):
            if not model.built:
                raise ValueError(
                    f"ZeroShotPrototypicalNetwork: {argument} {model.name!r} is not built: call it "
                    "once on data, or call build(input_shape), before making a learner of it."
                )
            shapes.append(tuple(model.output_shape))
        if len(shapes[0]) != 2 or shapes[0] != shapes[1]:
            raise ValueError(
                "ZeroShotPrototypicalNetwork: network and descriptor_network must give vectors "
                f"[batch, D] of the same size, got {shapes[0]} and {shapes[1]}."
            )
        self.network = network
        self.descriptor_network = descriptor_network
        self.built = True

    def build(self, input_shape=None):
        """Nothing is left to build: both networks have their weights from the start."""

    def is_transductive(self):
        return False

    def prototypes(self, descriptors, training=False):
        """c_n `[batch, D]`, of unit length, of `descriptors` `[batch, ...]`."""
        vectors = self.descriptor_network(descriptors, training=training)
        return unit_vectors(ops.cast(vectors, self.compute_dtype))

    def batch_logits(self, descriptors, query_images, training=False):
        prototypes = _over_episodes(lambda v: self.prototypes(v, training=training), descriptors)
        embeddings = _over_episodes(
            lambda images: ops.cast(self.network(images, training=training), self.compute_dtype),
            query_images,
        )
        return -squared_euclidean(embeddings, prototypes)

    def adapt(self, descriptors):
        """An ordinary Keras classifier for classes with these descriptors.

        Args:
            descriptors: `[N, ...]`.

        Returns:
            A `keras.Model`, `[batch, H, W, C] -> logits [batch, N]`, which treats every picture on
            its own. It shares nothing with the learner.

        Raises:
            ValueError: the descriptor network does not take the descriptors.
        """
        embed = keras.models.clone_model(self.network)
        embed.set_weights(self.network.get_weights())
        prototypes = self.prototypes(self.checked_descriptors(descriptors))
        images = keras.Input(self.network.input_shape[1:], dtype=self.variable_dtype, name="image")
        # -||z - c||^2 = 2 c . z - 1 - ||z||^2 is linear but for what all classes share.
        linear = keras.layers.Dense(
            len(prototypes), use_bias=False, dtype=self.dtype_policy, name="prototypes"
        )
        z = ops.cast(embed(images), self.compute_dtype)
        linear.build(z.shape)
        linear.kernel.assign(2.0 * ops.transpose(prototypes))
        logits = linear(z) - 1.0 - ops.sum(ops.square(z), axis=-1, keepdims=True)
        return keras.Model(images, logits, name="classifier")


def _over_episodes(network, inputs):
    """A network over `[batch, ...]` as one over `[B, n, ...]`, to vectors `[B, n, D]`."""
    outputs = network(ops.reshape(inputs, (-1, *inputs.shape[2:])))
    return ops.reshape(outputs, (*ops.shape(inputs)[:2], outputs.shape[-1]))
