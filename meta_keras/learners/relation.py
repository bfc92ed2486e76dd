"""Relation networks: a learned comparison of feature maps."""

import keras
import tensorflow as tf
from keras import ops

from meta_keras.arguments import Part
from meta_keras.functional import ends_in_sigmoid
from meta_keras.learners.class_loss import ClassLoss
from meta_keras.learners.metric import MetricLearner, class_means


def every_pair(classes, queries):
    """C(f(x_i), f(x_j)): every class's feature maps beside every query's.

    Args:
        classes: `[B, N, h, w, C]`.
        queries: `[B, Q, h, w, C]`.

    Returns:
        `[B, Q, N, h, w, 2 C]`, the class's maps first.
    """
    classes, queries = ops.expand_dims(classes, 1), ops.expand_dims(queries, 2)
    # Adding zeros repeats either along the axis it lacks.
    return ops.concatenate(
        [classes + ops.zeros_like(queries), queries + ops.zeros_like(classes)], axis=-1
    )


@keras.saving.register_keras_serializable(package="meta_keras")
class RelationLoss(ClassLoss):
    """The paper's loss: mean over classes of (r_n - 1(y = n))^2, with scores r = sigmoid(logits).

    Sung et al. 2018, equation 2, https://arxiv.org/abs/1711.06025

    Call arguments: labels `[..., Q]` or `[..., Q, 1]` int, logits `[..., Q, N]`.

    Example:

    >>> float(RelationLoss()(ops.array([0]), ops.zeros((1, 2))))  # r = 1/2 for either class
    0.25
    """

    def of_classes(self, labels, logits):
        target = tf.one_hot(labels, tf.shape(logits)[-1], dtype=logits.dtype)
        return tf.reduce_mean(tf.math.squared_difference(tf.sigmoid(logits), target), axis=-1)


@keras.saving.register_keras_serializable(package="meta_keras")
class RelationNetwork(MetricLearner):
    """Compares feature maps by a learned relation module.

        r_n = sigmoid(g(C(f_n, f(x))))        C: concatenation of feature maps

    The logits are what enters the sigmoid, so that either loss of `compile` fits: `RelationLoss()`,
    the paper's squared error on r, or cross-entropy from logits, which makes the classes of an
    episode compete. The answer is the class of the highest score either way.

    f_n is the mean of the class's feature maps. The paper's sum differs by the factor K only, which
    the relation module learns to live with; the mean lets K change between training and test.

    Flood Sung, Yongxin Yang, Li Zhang, Tao Xiang, Philip Torr and Timothy Hospedales, "Learning to
    compare: relation network for few-shot learning", CVPR 2018, https://arxiv.org/abs/1711.06025

    Args:
        embedding: f, a built `keras.Model` from images to feature maps `[batch, h, w, C]`, e.g.
            `networks.conv4_embedding(maps=True)`.
        relation: g, a built `keras.Model` from `[batch, h, w, 2 C]` to one logit `[batch, 1]`,
            e.g. `networks.relation_module()`.

    Call arguments and shapes: see `EpisodicLearner`.

    Raises:
        ValueError: a network is not built, the two do not fit together, or the relation module
            ends in a sigmoid.

    Example:

    >>> from meta_keras.networks import conv4_embedding, relation_module
    >>> learner = RelationNetwork(conv4_embedding(maps=True), relation_module())
    >>> learner.compile("adam", RelationLoss(), metrics=["accuracy"])
    """

    method = "relation"
    networks = ("embedding", "relation")
    relation = Part()

    def __init__(self, embedding, relation, **kwargs):
        super().__init__(embedding, **kwargs)
        maps = getattr(embedding, "output_shape", None)
        inputs, outputs = (getattr(relation, f"{end}_shape", None) for end in ("input", "output"))
        if maps is None or len(maps) != 4 or None in maps[1:]:
            raise ValueError(
                f"RelationNetwork: embedding {embedding.name!r} must map images to feature maps "
                f"[batch, h, w, C] of known size, but gives {maps}."
            )
        expected = (None, *maps[1:3], 2 * maps[3])
        if inputs != expected or outputs != (None, 1):
            raise ValueError(
                f"RelationNetwork: relation {relation.name!r} must map pairs of feature maps "
                f"{expected} to one logit (None, 1), but maps {inputs} to {outputs}."
            )
        if ends_in_sigmoid(relation):
            raise ValueError(
                f"RelationNetwork: relation {relation.name!r} ends in a sigmoid, and must give a "
                "logit, which the loss applies the sigmoid to: leave it out."
            )
        self.relation = relation
        self.map_shape = maps[1:]

    def compare(self, support, members, query, training=False):
        batch = ops.shape(query)[0]
        classes = class_means(support, members)
        maps = (ops.reshape(part, (batch, -1, *self.map_shape)) for part in (classes, query))
        pairs = every_pair(*maps)
        scores = self.relation(ops.reshape(pairs, (-1, *pairs.shape[3:])), training=training)
        scores = ops.cast(scores, self.compute_dtype)
        return ops.reshape(scores, (batch, -1, ops.shape(members)[-1]))
