"""The LSTM meta-learner's training step written by hand, without Keras and without `meta_keras`.

The yardstick of few-shot training: the arithmetic of `LSTMMetaLearner(conv4(5))` trained in
first order with Adam and a clipped gradient, and nothing else. It reads its initial weights from a
learner, so that both can be compared number by number.
"""

import math

import tensorflow as tf

from experiments.benchmark.bare_common import ClippedAdam, cross_entropy, log_and_sign

BLOCK_SHAPES = [(3, 3, 32, 32), (32,), (32,), (32,)]  # kernel, bias, scale, offset
SHAPES = [(3, 3, 1, 32), *BLOCK_SHAPES[1:], *BLOCK_SHAPES * 3, (32, 5), (5,)]
SIZES = [math.prod(shape) for shape in SHAPES]


def conv4(theta, x):
    """Logits `[batch, 5]` of pictures `[batch, 28, 28, 1]` for flat weights `[28485]`."""
    weights = [tf.reshape(w, s) for w, s in zip(tf.split(theta, SIZES), SHAPES, strict=True)]
    for block in range(4):
        kernel, bias, scale, offset = weights[4 * block : 4 * block + 4]
        x = tf.nn.conv2d(x, kernel, 1, "SAME") + bias
        mean, variance = tf.nn.moments(x, [0, 1, 2])
        x = tf.nn.relu(tf.nn.batch_normalization(x, mean, variance, offset, scale, 1e-3))
        x = tf.nn.max_pool2d(x, 2, 2, "VALID")
    return tf.reshape(x, [-1, 32]) @ weights[-2] + weights[-1]


def adapt(theta, cell, images, labels, steps):
    """theta after `steps` steps of the gated LSTM on one support set; all its states are `[., P]`.

    `cell` holds kernel `[4 + U, 4 U]`, bias `[4 U]`, and kernel `[U + 2]` and bias `[]` of the
    input gate and of the forget gate.
    """
    kernel, bias, *gates = cell
    w_i, b_i, w_f, b_f = gates
    h = c = None  # zeros, which need no arithmetic
    i = f = tf.zeros_like(theta)
    for _ in range(steps):
        point = tf.stop_gradient(theta)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(point)
            loss = cross_entropy(labels, conv4(point, images))
        gradient = tape.gradient(loss, point)
        from_loss = tf.linalg.matvec(kernel[2:4], log_and_sign(loss), transpose_a=True)
        recurrent = ([], []) if h is None else ([h], [kernel[4:]])
        z = tf.concat([log_and_sign(gradient), *recurrent[0], tf.ones_like(theta)[None]], 0)
        w = tf.concat([kernel[:2], *recurrent[1], (bias + from_loss)[None]], 0)
        a, b, g, o = (tf.matmul(part, z, transpose_a=True) for part in tf.split(w, 4, axis=1))
        new = tf.sigmoid(a) * tf.tanh(g)
        c = new if c is None else tf.sigmoid(b) * c + new
        h = tf.sigmoid(o) * tf.tanh(c)
        i = gate(w_i, b_i, h, theta, i)
        f = gate(w_f, b_f, h, theta, f)
        theta = f * theta - i * gradient
    return theta


def gate(w, b, h, theta, previous):
    from_h = tf.linalg.matvec(h, w[:-2], transpose_a=True)
    return tf.sigmoid(from_h + w[-2] * theta + w[-1] * previous + b)


class BareFewShotTrainer:
    """Meta-learner and its training, ten lines of TensorFlow around `adapt`.

    Args:
        learner: the `LSTMMetaLearner` over `conv4(5)` whose weights and T are copied.
    """

    def __init__(self, learner):
        weights = [learner.flat.parameters(), *(w.value for w in learner.cell.trainable_variables)]
        self.steps = learner.inner_steps
        self.variables = [tf.Variable(w) for w in weights]
        self.adam = ClippedAdam(self.variables)

    def loss_and_gradients(self, x, y):
        """Mean loss of a batch of episodes and its gradients, theta's first, then the cell's."""
        with tf.GradientTape() as tape:
            theta, *cell = (tf.convert_to_tensor(v) for v in self.variables)
            episodes = (x["support_images"], x["support_labels"], x["query_images"], y)
            losses = [
                cross_entropy(labels, conv4(adapt(theta, cell, *support, self.steps), images))
                for *support, images, labels in zip(*map(tf.unstack, episodes), strict=True)
            ]
            loss = tf.reduce_mean(losses)
        return loss, tape.gradient(loss, self.variables)

    @tf.function
    def train_step(self, x, y):
        """One Adam update. Returns the loss before it."""
        loss, gradients = self.loss_and_gradients(x, y)
        self.adam(gradients, clip_norm=0.25)
        return loss
