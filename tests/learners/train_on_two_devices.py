"""Trains on two logical devices and on one; a program run by distribution_test.py."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from meta_keras import LearnedOptimizer, LSTMMetaLearner, PrototypicalNetwork, Reptile
from meta_keras.layers import CorrectedAdam, GradientDescentCell


def make_lstm(network):
    return LSTMMetaLearner(network, inner_steps=1, second_order=True)


def make_reptile(network):  # its training step is its own
    return Reptile(network, GradientDescentCell(0.5), inner_steps=1)


def make_prototypical(network):  # its moving statistics are updated on every device
    return PrototypicalNetwork(network)


def make_optimizer():
    return LearnedOptimizer(CorrectedAdam(rate=0.01, steps=8), weight_decay=1e-3)


def make_network():
    layers = [
        keras.layers.Conv2D(2, 3, strides=2),
        keras.layers.BatchNormalization(),
        keras.layers.ReLU(),
        keras.layers.Flatten(),
        keras.layers.Dense(3),
    ]
    return keras.Sequential([keras.Input((16, 16, 1)), *layers])


def make_episodes():
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(3, dtype="int32"), (4, 1))
    x = {
        "support_images": rng.uniform(size=(4, 3, 16, 16, 1)).astype("float32"),
        "support_labels": labels,
        "query_images": rng.uniform(size=(4, 3, 16, 16, 1)).astype("float32"),
    }
    return tf.data.Dataset.from_tensor_slices((x, labels)).batch(4)


def train(make, scope, episodes):
    keras.utils.set_random_seed(0)
    with scope:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        if make is make_optimizer:  # which trains an ordinary network
            layers = [keras.Input((16, 16, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
            learner, optimizer = keras.Sequential(layers), make()
            episodes = episodes.unbatch().map(lambda x, y: (x["query_images"], y)).unbatch()
            episodes = episodes.batch(6)
        else:
            learner = make(make_network())
            optimizer = keras.optimizers.SGD(0.1)
        learner.compile(optimizer, loss, metrics=["accuracy"])
    before = [variable.numpy() for variable in learner.trainable_variables]
    losses = learner.fit(episodes, epochs=2, verbose=0).history["loss"]
    after = [variable.numpy() for variable in learner.trainable_variables]
    return losses, [b - a for a, b in zip(before, after, strict=True)]


if __name__ == "__main__":
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    episodes = make_episodes()
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    for make in (make_lstm, make_reptile, make_prototypical, make_optimizer):
        losses, moves = train(make, strategy.scope(), episodes)
        expected_losses, expected_moves = train(make, contextlib.nullcontext(), episodes)
        np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
        assert max(abs(move).max() for move in expected_moves) > 1e-3
        for move, expected in zip(moves, expected_moves, strict=True):
            np.testing.assert_allclose(move, expected, atol=1e-6)
