"""A learned optimizer's training step written by hand, without Keras and without `meta_keras`.

The yardstick of the training of an optimizer: the arithmetic of
`OptimizerTrainer(CoordinatewiseLSTM())` (log-and-sign inputs) on a network with one hidden layer,
trained in first order with Adam and a clipped gradient, and nothing else. It reads its weights
from a trainer, so that both can be compared number by number.
"""

import math

import tensorflow as tf

from experiments.benchmark.bare_common import ClippedAdam, cross_entropy, log_and_sign

UNITS, SCALE = 20, 0.1


def network_loss(theta, x, y, hidden):
    """Cross-entropy of a network with `hidden` sigmoid units, for flat weights `[P]`."""
    shapes = [(x.shape[1], hidden), (hidden,), (hidden, 10), (10,)]
    parts = tf.split(theta, [math.prod(shape) for shape in shapes])
    w1, b1, w2, b2 = (tf.reshape(p, s) for p, s in zip(parts, shapes, strict=True))
    logits = tf.sigmoid(x @ w1 + b1) @ w2 + b2
    return cross_entropy(y, logits)


def lstm(kernel, bias, x, h, c):
    z = tf.concat([x, h, tf.ones_like(x[:1])], 0)
    w = tf.split(tf.concat([kernel, bias[None]], 0), 4, axis=1)
    i, f, g, o = (tf.matmul(part, z, transpose_a=True) for part in w)
    c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
    return tf.sigmoid(o) * tf.tanh(c), c


def update(cell, gradient, state):
    """The step `[P]` for a gradient `[P]`; `state` is `(h1, c1, h2, c2)`, each `[20, P]`."""
    k1, b1, k2, b2, w, b = cell
    h1, c1, h2, c2 = state
    h1, c1 = lstm(k1, b1, log_and_sign(gradient), h1, c1)
    h2, c2 = lstm(k2, b2, h1, h2, c2)
    return SCALE * (tf.matmul(w, h2, transpose_a=True)[0] + b), (h1, c1, h2, c2)


class BareOptimizerTrainer:
    """Truncated back-propagation through `steps` steps, from the same start every time.

    Args:
        trainer: the `OptimizerTrainer` whose cell's weights and number of steps are copied.
        x, y: `[examples, 784]` float32 and `[examples]` int: the data.
        hidden: units of the network.
        batch_size: of a minibatch.
    """

    def __init__(self, trainer, x, y, hidden, batch_size):
        self.x, self.y, self.hidden, self.batch_size = x, y, hidden, batch_size
        self.steps = trainer.unroll_steps
        self.variables = [tf.Variable(w.value) for w in trainer.cell.trainable_variables]
        self.adam = ClippedAdam(self.variables)

    def minibatch(self, seed, step):
        shape = [self.batch_size]
        chosen = tf.random.stateless_uniform(
            shape, [seed, step + 1], maxval=len(self.x), dtype=tf.int32
        )
        return tf.gather(self.x, chosen), tf.gather(self.y, chosen)

    def loss_and_gradients(self, theta, seed):
        """Mean loss along the steps from `theta`, and its gradients by the cell's weights."""
        with tf.GradientTape() as tape:
            cell = [tf.convert_to_tensor(v) for v in self.variables]
            state = (tf.zeros([UNITS, len(theta)]),) * 4
            losses = []
            for step in range(self.steps + 1):
                point = tf.stop_gradient(theta)
                with tf.GradientTape(watch_accessed_variables=False) as inner:
                    inner.watch(point)
                    loss = network_loss(point, *self.minibatch(seed, step), self.hidden)
                gradient = inner.gradient(loss, point)
                losses.append(loss + tf.tensordot(gradient, theta - point, 1))
                if step < self.steps:
                    change, state = update(cell, gradient, state)
                    theta = theta + change
            loss = tf.add_n(losses[1:]) / self.steps
        return loss, tape.gradient(loss, self.variables)

    @tf.function
    def train_step(self, theta, seed):
        """One Adam update. Returns the loss before it."""
        loss, gradients = self.loss_and_gradients(theta, seed)
        self.adam(gradients, clip_norm=1.0)
        return loss
