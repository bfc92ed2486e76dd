"""The benchmark's yardsticks do the arithmetic of what they are compared with."""

import keras
import numpy as np
import tensorflow as tf

from experiments.benchmark import optimizer_contenders
from experiments.benchmark.bare_few_shot import BareFewShotTrainer
from experiments.benchmark.bare_optimizer import BareOptimizerTrainer
from experiments.benchmark.learned_optimizer import coordinates
from meta_keras.learners import LSTMMetaLearner
from meta_keras.networks import conv4
from meta_keras.optimizers import truncations

HIDDEN, STEPS = 2, 3  # of the learned optimizer's run


def _randomize(cell):
    # The paper's initial values hide the recurrent terms: larger ones make them count.
    rng = np.random.default_rng(0)
    for variable in cell.trainable_variables:
        variable.assign(rng.normal(scale=0.2, size=variable.shape))


def _learner_and_episodes(steps=2, batch=2):
    learner = LSTMMetaLearner(conv4(5), inner_steps=steps)
    _randomize(learner.cell)
    rng = np.random.default_rng(1)
    x = {
        "support_images": rng.uniform(size=(batch, 5, 28, 28, 1)).astype("float32"),
        "support_labels": np.tile(np.arange(5, dtype="int32"), (batch, 1)),
        "query_images": rng.uniform(size=(batch, 15, 28, 28, 1)).astype("float32"),
    }
    return learner, x, np.tile(np.arange(5, dtype="int32").repeat(3), (batch, 1))


def _trainer_and_yardstick():
    problem = optimizer_contenders.make_problem(HIDDEN)
    # From the small weights it starts with, the derivative by the output bias is a sum of terms
    # that cancel to 1e-8, which float32 cannot tell from rounding; from larger ones it is not.
    problem.start = [100.0 * start for start in problem.start]
    trainer = optimizer_contenders.make_trainer("graph", problem, STEPS)
    _randomize(trainer.cell)
    batch_size = optimizer_contenders.BATCH
    return trainer, BareOptimizerTrainer(trainer, problem.x, problem.y, HIDDEN, batch_size)


def _assert_same_gradients(actual, expected):
    for ours, theirs in zip(actual, expected, strict=True):
        scale = np.abs(theirs).max()
        assert scale > 0
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-4)


def test_few_shot_loss_and_meta_gradients():
    learner, x, y = _learner_and_episodes()
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        loss = loss_fn(y, learner({key: tf.constant(v) for key, v in x.items()}, training=True))
    sources = [learner.network.trainable_variables, learner.cell.trainable_variables]
    of_network, of_cell = tape.gradient(loss, [[v.value for v in vs] for vs in sources])
    expected = [tf.concat([tf.reshape(g, [-1]) for g in of_network], 0), *of_cell]
    bare_loss, actual = BareFewShotTrainer(learner).loss_and_gradients(x, y)
    np.testing.assert_allclose(bare_loss, loss, rtol=1e-5)
    _assert_same_gradients(actual, expected)


def test_few_shot_training():
    learner, x, y = _learner_and_episodes(steps=1, batch=1)
    bare = BareFewShotTrainer(learner)
    learner.compile(
        keras.optimizers.Adam(1e-3, global_clipnorm=0.25),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    for _ in range(2):
        before = learner.flat.parameters()
        # From the same weights, as rounding decides between the places of a maximum later on.
        ours = [before, *learner.cell.trainable_variables]
        for theirs, own in zip(bare.variables, ours, strict=True):
            theirs.assign(own)
        learner.train_on_batch(x, y)
        bare.train_step(x, y)
        moved, bare_moved = learner.flat.parameters() - before, bare.variables[0] - before
        # Adam turns a gradient that is nothing but rounding into a full step of either sign.
        assert np.mean(np.abs(moved - bare_moved) < 1e-5) > 0.98
        assert np.abs(moved).max() > 5e-4


def test_optimizers_loss_and_meta_gradients():
    trainer, bare = _trainer_and_yardstick()
    assert trainer.size == coordinates({"hidden": HIDDEN})
    zero = tf.constant(0, tf.int64)
    with tf.GradientTape() as tape:
        loss, *_ = trainer.truncation_loss(zero, zero, *trainer.start(zero))
    expected = tape.gradient(loss, [v.value for v in trainer.cell.trainable_variables])
    theta = trainer.problem.initial_parameters(zero)
    bare_loss, actual = bare.loss_and_gradients(theta, zero)
    np.testing.assert_allclose(bare_loss, loss, rtol=1e-5)
    _assert_same_gradients(actual, expected)


def test_optimizers_training():
    trainer, bare = _trainer_and_yardstick()
    variables = trainer.cell.trainable_variables
    before = [v.numpy() for v in variables]
    zero = tf.constant(0, tf.int64)
    trainer.fit(truncations(1, STEPS, STEPS), verbose=0)
    bare.train_step(trainer.problem.initial_parameters(zero), zero)
    for variable, ours, start in zip(variables, bare.variables, before, strict=True):
        assert np.abs(variable - start).max() > 1e-4
        # As above.
        assert np.mean(np.abs(variable.numpy() - ours.numpy()) < 1e-5) > 0.98
