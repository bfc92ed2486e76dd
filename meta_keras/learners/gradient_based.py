"""Learners that adapt a network to the support set with a cell on the one inner loop."""

import keras
import numpy as np
import tensorflow as tf

from meta_keras.arguments import Argument, Part, boolean, one_of, positive_integer
from meta_keras.batch_norm import (
    batch_statistics_clone,
    make_twice_differentiable,
    uses_batch_statistics,
)
from meta_keras.functional import FlatNetwork, num_outputs
from meta_keras.learners import network_checks
from meta_keras.learners.adaptation_summaries import adaptation_summaries
from meta_keras.learners.episode_checks import checked_labels
from meta_keras.learners.episodic import EpisodicLearner
from meta_keras.learners.inner_loss import inner_loss_of, mean_loss
from meta_keras.learners.target_checks import checked_targets
from meta_keras.measures import check_loss, takes_of_outputs
from meta_keras.unroll import unroll

BATCH_NORM_MODES = ("transductive", "inductive")


def _allowed_order(learner, name, value):
    value = boolean(learner, name, value)
    if value and "network" in vars(learner):
        make_twice_differentiable(learner.network)
    return value


def _allowed_loss(learner, name, value):
    loss, own = inner_loss_of(learner, name, value), type(learner).__name__
    if "flat" in vars(learner):
        network_checks.check_outputs(own, learner.network, loss)
        check_loss(own, learner.loss if learner.compiled else None, takes_of_outputs(loss))
    return loss


@keras.saving.register_keras_serializable(package="meta_keras")
class GradientBasedLearner(EpisodicLearner):
    """Adapts `network` to an episode by `inner_steps` steps of `cell` on the support set.

    The meta-learned initial parameters are the network's own weights.

    Settings may be changed at any time. A frozen layer (`trainable=False`) is neither adapted nor
    learned; after freezing or thawing one compile again, as with any Keras model. Regularisers of
    weights count in the inner loss of every step and in the outer one.

    Args:
        network: a built `keras.Model` of one input, from images to N logits.
        cell: a `meta_keras.layers.Cell`.
        inner_steps: T, the number of steps on the support set.
        test_inner_steps: their number outside training, if it is another.
        inner_batch_size: support pictures per step; all of them by default. Mini-batches run
            through the support set epoch by epoch, each in another fixed shuffled order.
        second_order: whether the meta-gradient also goes through the gradients and losses the
            cell sees.
        batch_norm: `"transductive"`: batch statistics everywhere, those of the query batch
            included. `"inductive"`: training the same, but at test the query is normalised with
            the moving statistics collected in the support steps (Ravi & Larochelle 2017). Every
            episode starts from the network's own statistics, which never change. Irrelevant for
            a network without batch normalisation.
        divide_gradient_by_batch: divide the mean loss's gradient by the batch size once more, as
            the official code of Ravi & Larochelle does.
        inner_loss: a `keras.losses.Loss` of the support set, or its name: the cross-entropy of
            class labels from logits by default. With another one, such as
            `keras.losses.MeanSquaredError()`, `support_labels` are targets `[B, S]` or
            `[B, S, ...]` in the shape of the network's outputs, and `compile` takes the loss of the
            query set likewise.
        anil: whether only the last layer with weights, the head, is adapted; the others are learned
            all the same. "Almost no inner loop": Aniruddh Raghu, Maithra Raghu, Samy Bengio and
            Oriol Vinyals, "Rapid learning or feature reuse?", ICLR 2020,
            https://arxiv.org/abs/1909.09157

    Raises:
        ValueError: an argument is out of range, or the network is not built, has several inputs, no
            weights to adapt or weights with constraints, gives something else than `[batch, N]`, or
            probabilities where the inner loss takes logits, has random layers (dropout), or layers
            that add losses of their activations.
    """

    network = Part()
    cell = Part()
    anil = Part(boolean)
    inner_steps = Argument(positive_integer())
    test_inner_steps = Argument(positive_integer(optional=True))
    inner_batch_size = Argument(positive_integer(optional=True))
    second_order = Argument(_allowed_order)
    batch_norm = Argument(one_of(BATCH_NORM_MODES))
    divide_gradient_by_batch = Argument(boolean)
    inner_loss = Argument(_allowed_loss)

    def __init__(
        self,
        network,
        cell,
        inner_steps=5,
        test_inner_steps=None,
        inner_batch_size=None,
        second_order=False,
        batch_norm="transductive",
        divide_gradient_by_batch=False,
        inner_loss=None,
        anil=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.network = network
        self.cell = cell
        self.inner_steps = inner_steps
        self.test_inner_steps = test_inner_steps
        self.inner_batch_size = inner_batch_size
        self.second_order = second_order
        self.batch_norm = batch_norm
        self.divide_gradient_by_batch = divide_gradient_by_batch
        self.inner_loss = inner_loss
        self.anil = anil
        self.flat = FlatNetwork(network, second_order, anil)
        network_checks.check_adaptable(type(self).__name__, network, self.inner_loss)
        if anil:
            network_checks.check_head(type(self).__name__, self.flat)
        cell.prepare(self.flat.variables)
        cell.build_once(self.flat.size)
        self._size = self.flat.size
        self.built = True

    def build(self, input_shape=None):
        """Nothing is left to build: network and cell have their weights from the start."""

    @classmethod
    def parts(cls):
        return (*cls.networks, "cell")

    @property
    def num_classes(self):
        """N, the number of the network's logits; None if its outputs are no classes."""
        return num_outputs(self.network) if self.tells_classes else None

    @property
    def tells_classes(self):
        """Whether support labels are class numbers, as of the default inner loss."""
        return isinstance(self.inner_loss, keras.losses.SparseCategoricalCrossentropy)

    @property
    def from_logits(self):
        """Whether outputs are logits, by the inner loss; None: neither they nor probabilities."""
        return takes_of_outputs(self.inner_loss)

    def outputs_of(self, x):
        return num_outputs(self.network)

    def is_transductive(self):
        return self.batch_norm == "transductive" and uses_batch_statistics(self.network)

    def steps(self, training=False):
        """The number of steps on the support set."""
        return self.inner_steps if training else self.test_inner_steps or self.inner_steps

    def inner_batches(self, size, training=False):
        """Indices of the support pictures of every step: a list of arrays, None for all."""
        steps, batch_size = self.steps(training), self.inner_batch_size or size
        if batch_size > size:
            raise ValueError(
                f"{type(self).__name__}: inner_batch_size={batch_size} is larger than the "
                f"support set of {size} pictures."
            )
        if batch_size == size:
            return [None] * steps
        rng = np.random.default_rng(0)
        epochs = -(-steps * batch_size // size)
        order = np.concatenate([rng.permutation(size) for _ in range(epochs)])
        return [order[t * batch_size : (t + 1) * batch_size] for t in range(steps)]

    def run_inner_loop(self, support_images, support_labels, training=False):
        """Adapts to one support set.

        Args:
            support_images: `[N*K, H, W, C]`.
            support_labels: `[N*K]` int.
            training: whether to take `inner_steps` or `test_inner_steps`.

        Returns:
            An `Unrolled`; its `carry` is the network's state (batch-normalisation statistics).
        """
        size = support_images.shape[0]
        batches = self.inner_batches(size, training)
        self.flat.check()
        network_checks.check_no_activity_losses(type(self).__name__, self.network)
        self._prepare_cell()

        def support_loss(parameters, step, state):
            images, labels = support_images, support_labels
            if batches[step] is not None:
                images, labels = tf.gather(images, batches[step]), tf.gather(labels, batches[step])
            logits, state = self.flat(parameters, state, images, training=True)
            loss = mean_loss(self.inner_loss, labels, logits)
            penalty = self.flat.penalty(parameters)
            return loss if penalty is None else loss + penalty, state

        batch_size = size if batches[0] is None else len(batches[0])

        def divided(gradient, *rest):
            return self.cell(gradient * (1.0 / batch_size), *rest)

        parameters = self.flat.parameters()
        return unroll(
            divided if self.divide_gradient_by_batch else self.cell,
            support_loss,
            parameters,
            steps=len(batches),
            carry=self.flat.state(),
            state=self.cell.initial_state(parameters),
            second_order=self.second_order,
        )

    def _prepare_cell(self):
        """Tells the cell which weights are trainable now."""
        size = self.flat.size
        if size == self._size:
            return
        if any(self._size in weight.shape for weight in self.cell.weights):
            raise ValueError(
                f"{type(self).__name__}: cell {self.cell.name!r} learned something for each of "
                f"{self._size} trainable weights, and now there are {size}: layers were frozen or "
                "thawed after the learner was made; make a new learner."
            )
        self.cell.prepare(self.flat.variables)
        self._size = size

    def checked_support(self, support_images, support_labels):
        given = type(self).__name__, support_labels, support_images
        if self.tells_classes:
            return checked_labels(*given, self.num_classes)
        outputs = num_outputs(self.network)
        return checked_targets(*given, self.variable_dtype, outputs, self.inner_loss)

    def episode_logits(self, support_images, support_labels, query_images, training):
        adapted = self.run_inner_loop(support_images, support_labels, bool(training))
        batch_statistics = bool(training) or self.is_transductive()
        logits, _ = self.flat(
            adapted.parameters, adapted.carry, query_images, training=batch_statistics
        )
        return logits

    def adapt(self, support_images, support_labels):
        """An ordinary Keras classifier for one support set.

        A transductive learner's classifier normalises with the statistics of the batch it is
        given, as the learner does: give it all the pictures at once. An inductive learner's
        classifier treats every picture on its own.

        Args:
            support_images: `[N*K, H, W, C]`.
            support_labels: `[N*K]` int in `[0, N)`; or the targets of an `inner_loss` of its own.

        Returns:
            A `keras.Model`, `[batch, H, W, C] -> logits [batch, N]`, of Keras' own layers only
            (as far as the network is).

        Raises:
            ValueError: labels or pictures do not fit; or a transductive learner's network is not
                made of functional and sequential models and plain layers.
        """
        adapted = self.run_inner_loop(*self.checked_support_set(support_images, support_labels))
        variables = [*self.network.trainable_variables, *self.network.non_trainable_variables]
        values = [*self.flat.weights(adapted.parameters), *adapted.carry]
        pairs = list(zip(variables, values, strict=True))
        if self.is_transductive():
            return batch_statistics_clone(self.network, pairs)
        network = keras.models.clone_model(self.network)
        # In an order that does not depend on what is frozen: a copy does not know of that.
        values = {id(variable): value for variable, value in pairs}
        for variable, copy in zip(self.network.variables, network.variables, strict=True):
            copy.assign(values[id(variable)])
        return network

    def adaptation_summaries(self, x, y):
        return adaptation_summaries(self, x, y)

    def get_config(self):
        return {
            **super().get_config(),
            "inner_steps": self.inner_steps,
            "test_inner_steps": self.test_inner_steps,
            "inner_batch_size": self.inner_batch_size,
            "second_order": self.second_order,
            "batch_norm": self.batch_norm,
            "divide_gradient_by_batch": self.divide_gradient_by_batch,
            "inner_loss": keras.saving.serialize_keras_object(self.inner_loss),
            "anil": self.anil,
        }

    @classmethod
    def from_config(cls, config):
        loss = keras.saving.deserialize_keras_object(config.get("inner_loss"))
        return super().from_config({**config, "inner_loss": loss})
