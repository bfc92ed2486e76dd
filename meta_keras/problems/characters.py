"""Convolutional networks that learn to tell characters apart: a new set of them every time."""

import tensorflow as tf

from meta_keras import networks
from meta_keras.arguments import Constant, Part, positive_integer
from meta_keras.functional import FlatNetwork
from meta_keras.problems import draws
from meta_keras.problems.model import shuffled
from meta_keras.problems.problem import Problem


class CharacterClassification(Problem):
    """Training a small convolutional network to classify N characters, drawn anew by every seed.

    The network is that of the few-shot experiments (`networks.conv4` with strides; convolutions,
    batch normalisation with batch statistics, one dense layer), a relative of the CIFAR-10
    optimizee of Andrychowicz et al. 2016, section 3.3 (https://arxiv.org/abs/1606.04474).

    Args:
        drawings: uint8 `[classes, drawings a class, H, W]`, ink 255, of the classes to draw from
            (`data.gather_classes`).
        nway: N, characters of an optimization.
        batch_size: drawings of a minibatch, drawn with replacement.
        filters: of every convolution.

    Raises:
        ValueError: there are fewer than N classes, or a number is out of range.
    """

    nway = Part()
    batch_size = Constant(positive_integer())

    def __init__(self, drawings, nway=20, batch_size=64, filters=16):
        if not 2 <= nway <= len(drawings):
            raise ValueError(
                f"nway must be from 2 to {len(drawings)}, the number of classes, got nway={nway}."
            )
        self.batch_size = batch_size
        shape = (*drawings.shape[2:], 1)
        model = networks.conv4(nway, shape, filters=filters, downsample="stride")
        self.flat = FlatNetwork(model, second_order=True)
        self.size = self.flat.size
        self.variables = model.trainable_variables
        self.nway = nway
        self.drawings = tf.constant(drawings)
        self.start = [tf.convert_to_tensor(v) for v in model.trainable_variables]
        self.state = self.flat.state()

    def initial_parameters(self, seed):
        return shuffled(self.start, seed)

    def minibatch(self, seed, step):
        """`(images [batch, H, W, 1] float32, labels [batch] int32)` of a step."""
        order = draws.uniform([len(self.drawings)], draws.fold_in([seed, 0], 1))
        classes = tf.math.top_k(order, self.nway).indices
        draw = draws.integers([2, self.batch_size], [seed, step + 1], tf.int32.max)
        labels, number = draw[0] % self.nway, draw[1] % self.drawings.shape[1]
        places = tf.stack([tf.gather(classes, labels), number], axis=-1)
        images = tf.gather_nd(self.drawings, places)[..., None]
        return tf.cast(images, tf.float32) / 255.0, labels

    def loss(self, parameters, seed, step):
        images, labels = self.minibatch(seed, step)
        theta = tf.cast(parameters, self.start[0].dtype)
        logits, _ = self.flat(theta, self.state, images, training=True)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return tf.cast(tf.reduce_mean(losses), parameters.dtype)
