"""What the tests of gradient-based learners share: runs and meta-gradients to compare with.

The reference shares nothing with the package: an ordinary Keras network whose variables are
assigned, the paper's equations in NumPy, and finite differences instead of an outer tape.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

EPSILON = 1e-5


def _cross_entropy(labels, logits):
    # The losses of Keras compute in float32.
    log_probabilities = tf.nn.log_softmax(logits)
    return -tf.reduce_mean(tf.gather(log_probabilities, labels, axis=1, batch_dims=1))


class Reference:
    """The learner's computation, with meta-parameters as a dict of arrays.

    The dict holds the cell's weights by name and the initial parameters, flat, as `theta`.
    """

    def __init__(self, network, cell_step, steps):
        self.steps = steps
        self.network = keras.models.clone_model(network)
        self.statistics = [variable.numpy() for variable in network.non_trainable_variables]
        self.cell_step = cell_step

        @tf.function
        def loss_and_gradient(images, labels):
            variables = [variable.value for variable in self.network.trainable_variables]
            with tf.GradientTape() as tape:
                logits = self.network(images, training=True)
                loss = _cross_entropy(labels, logits)
            gradient = tape.gradient(loss, variables)
            return loss, tf.concat([tf.reshape(part, [-1]) for part in gradient], 0)

        self.compute = loss_and_gradient

    def assign(self, theta):
        for variable in self.network.trainable_variables:
            size = variable.numpy().size
            variable.assign(theta[:size].reshape(variable.shape))
            theta = theta[size:]

    def run(self, meta, images, labels, constants=None, batches=None):
        """Adapts. Returns theta and the list of every step's loss and gradient.

        With `constants`, such a list, the network is not asked: the cell sees the constants.
        `batches` are the indices of every step's pictures, all by default.
        """
        for variable, value in zip(
            self.network.non_trainable_variables, self.statistics, strict=True
        ):
            variable.assign(value)
        theta, state, seen = meta["theta"], None, []
        for step in range(self.steps):
            if constants is None:
                self.assign(theta)
                batch = slice(None) if batches is None else batches[step]
                seen.append([x.numpy() for x in self.compute(images[batch], labels[batch])])
            loss, gradient = (constants or seen)[step]
            theta, state = self.cell_step(meta, gradient, loss, theta, state)
        return theta, seen

    def query_loss(self, theta, images, labels):
        self.assign(theta)
        return self.compute(images, labels)[0].numpy()


def _meta_parameters(learner):
    """Copies of the learner's weights as `Reference` wants them."""
    meta = {variable.name: variable.numpy() for variable in learner.cell.trainable_variables}
    theta = [variable.numpy().ravel() for variable in learner.network.trainable_variables]
    return {**meta, "theta": np.concatenate(theta)}


def _meta_gradient(learner, x, labels):
    """The learner's query loss and its gradient, a dict in the form of `_meta_parameters`."""
    cell_variables = learner.cell.trainable_variables
    variables = [v.value for v in [*cell_variables, *learner.network.trainable_variables]]
    with tf.GradientTape() as tape:
        loss = _cross_entropy(labels[0], learner(x, training=True)[0])
    gradients = [np.array(gradient) for gradient in tape.gradient(loss, variables)]
    gradient = {v.name: g for v, g in zip(cell_variables, gradients, strict=False)}
    theta = [g.ravel() for g in gradients[len(cell_variables) :]]
    return loss, {**gradient, "theta": np.concatenate(theta)}


def _numerical_gradient(function, meta):
    """Central differences of `function(meta)` in every single number of `meta`."""
    gradient = {name: np.zeros_like(value) for name, value in meta.items()}
    for name, value in meta.items():
        for index in np.ndindex(value.shape):
            ends = []
            for step in (EPSILON, -EPSILON):
                moved = np.array(value)
                moved[index] += step
                ends.append(function({**meta, name: moved}))
            gradient[name][index] = (ends[0] - ends[1]) / (2 * EPSILON)
    return gradient


def _assert_meta_gradient(learner, x, y, cell_step):
    """Compares a learner's loss and meta-gradient with those of the reference.

    Args:
        cell_step: the cell in NumPy, `(meta, gradient, loss, theta, state) -> (theta, state)`.
    """
    reference = Reference(learner.network, cell_step, learner.inner_steps)
    meta = _meta_parameters(learner)
    support = x["support_images"][0], x["support_labels"][0]
    _, seen = reference.run(meta, *support)
    # In first order, what the cell sees of the network is held at its recorded values.
    constants = None if learner.second_order else seen

    def query_loss(meta):
        theta, _ = reference.run(meta, *support, constants)
        return reference.query_loss(theta, x["query_images"][0], y[0])

    loss, gradient = _meta_gradient(learner, x, y)
    np.testing.assert_allclose(loss, query_loss(meta), rtol=1e-10)
    expected = _numerical_gradient(query_loss, meta)
    for name in meta:
        # Relative to the largest entry, not to each: a difference of losses has about ten digits.
        scale = np.abs(expected[name]).max()
        assert scale > 1e-5, f"{name} does not matter here"
        np.testing.assert_allclose(
            gradient[name] / scale, expected[name] / scale, rtol=1e-4, atol=1e-5, err_msg=name
        )


@pytest.fixture(scope="session")
def make_reference():
    return Reference


@pytest.fixture(scope="session")
def meta_gradient():
    return _meta_gradient


@pytest.fixture(scope="session")
def assert_meta_gradient():
    return _assert_meta_gradient
