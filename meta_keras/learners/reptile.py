"""Reptile: initial weights moved towards what training on each task makes of them."""

import keras
import tensorflow as tf

from meta_keras.arguments import Argument, Part
from meta_keras.layers import AdamCell
from meta_keras.learners.gradient_based import GradientBasedLearner


def reptile_gradient(theta, adapted, weights=None):
    """theta - (1/n) sum_i theta~_i  (Nichol et al. 2018, section 2).

    A descent step along it at rate epsilon is the paper's update

        theta <- theta + epsilon (1/n) sum_i w_i (theta~_i - theta),   w_i = 1

    Args:
        theta: initial weights `[P]`.
        adapted: weights theta~_i after training on each of n tasks, `[n, P]`.
        weights: w_i `[n]`, if not all are 1.

    Returns:
        `[P]`.
    """
    if weights is None:
        return theta - tf.reduce_mean(adapted, axis=0)
    return tf.reduce_mean(weights[:, None] * (theta - adapted), axis=0)


def _first_order(learner, name, value):
    if value:
        raise ValueError(f"Reptile: there is nothing to differentiate for {name}={value!r}.")
    return False


@keras.saving.register_keras_serializable(package="meta_keras")
class Reptile(GradientBasedLearner):
    """Few-shot learner whose initial weights move towards the adapted ones.

        theta~_i = theta after `inner_steps` steps of the inner optimizer on episode i
        theta <- theta + epsilon (1/n) sum_i (theta~_i - theta)

    Alex Nichol, Joshua Achiam and John Schulman, "On first-order meta-learning algorithms", 2018,
    https://arxiv.org/abs/1803.02999

    No derivative goes through the inner loop, and training needs no query set: query pictures of
    training episodes, and the compiled loss, only give the reported loss and accuracy. So in `fit`
    `sample_weight` is that of episodes, `[B]`, and regularisers count in the inner loop. Compile it
    with `keras.optimizers.SGD(epsilon)` for the paper's outer update; any other optimizer gets
    `reptile_gradient` as the gradient, which the paper also considers.

    Args:
        network: a built `keras.Model` from images to N logits; its weights are theta.
        cell: the inner optimizer, without weights of its own; `AdamCell(1e-3, beta_1=0.0)` by
            default, the paper's. It starts anew in every episode, where the official code keeps
            Adam's second moments from task to task.
        inner_steps: steps in training; 5 by default, as in the paper on Omniglot (appendix A).
        inner_batch_size: support pictures a step. The training episodes should have more support
            pictures than those of the test (the paper: 10 a class); at test a support set that is
            smaller than this is taken whole.
        **kwargs: see `GradientBasedLearner`; the paper takes `test_inner_steps=50`.

    Call arguments and shapes: see `EpisodicLearner`.

    Raises:
        ValueError: the cell has weights, which Reptile cannot learn, `second_order` is true, or
            `anil`, for nothing would move the weights that are not adapted; or see
            `GradientBasedLearner`.

    Example:

    >>> from meta_keras.networks import conv4
    >>> learner = Reptile(conv4(5), inner_batch_size=10, test_inner_steps=50)
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> learner.compile(keras.optimizers.SGD(1.0), loss, metrics=["accuracy"])
    """

    method = "reptile"

    second_order = Argument(_first_order)
    anil = Part(_first_order)

    def __init__(self, network, cell=None, inner_steps=5, second_order=False, **kwargs):
        cell = cell or AdamCell(1e-3, beta_1=0.0)
        super().__init__(network, cell, inner_steps, second_order=second_order, **kwargs)
        if self.cell.variables:
            raise ValueError(
                f"Reptile: cell {self.cell.name!r} has weights, and Reptile only learns those of "
                "the network."
            )

    def inner_batches(self, size, training=False):
        if not training and size < (self.inner_batch_size or 0):
            return [None] * self.steps(training)
        return super().inner_batches(size, training)

    def _train_on_episodes(self, x):
        """Every episode's weights after training `[B, P]`, and their query logits."""

        def run(support_images, support_labels, query_images):
            adapted = self.run_inner_loop(support_images, support_labels, training=True)
            logits, _ = self.flat(adapted.parameters, adapted.carry, query_images, training=True)
            return adapted.parameters, logits

        return self.map_episodes(run, x, (self.flat.parameters().dtype, self.compute_dtype))

    def compile(self, optimizer="rmsprop", loss=None, *, loss_weights=None, **kwargs):
        """See `Learner.compile`.

        Raises:
            ValueError: `loss_weights` is given: training does not follow the compiled loss.
        """
        if loss_weights is not None:
            raise ValueError(
                f"Reptile: loss_weights={loss_weights!r} has no meaning: its update does not "
                "follow the compiled loss. Choose the optimizer's learning rate instead."
            )
        super().compile(optimizer, loss, **kwargs)

    def _gradient(self, adapted, weights=None):
        return self.flat.unflatten(reptile_gradient(self.flat.parameters(), adapted, weights))

    def meta_gradient(self, x, y):
        """See `reptile_gradient`: a list, one tensor per trainable weight."""
        return self._gradient(self._train_on_episodes(x)[0])

    def train_step(self, data):
        weights = keras.utils.unpack_x_y_sample_weight(data)[2]
        if weights is not None and len(weights.shape) != 1:
            raise ValueError(
                "Reptile: sample_weight must be [B], of episodes: training does not look at query "
                f"pictures; got the shape {weights.shape}."
            )
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(self.checked_batch(data))
        if weights is not None:
            weights = tf.cast(weights, self.compute_dtype)
        adapted, logits = self._train_on_episodes(x)
        # Optimizers add up what the replicas of a strategy give them; the loss is their share too.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        # And divide by what a loss is scaled with.
        scale = self.optimizer.scale_loss
        gradient = [scale(part / replicas) for part in self._gradient(adapted, weights)]
        self.optimizer.apply_gradients(zip(gradient, self.trainable_variables, strict=True))
        loss = self.compute_loss(x, y, logits, sample_weight) * replicas
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=tf.shape(y)[0])
        return self.compute_metrics(x, y, logits, sample_weight)
