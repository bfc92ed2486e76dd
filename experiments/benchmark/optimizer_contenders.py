"""What takes turns when the training of a learned optimizer is timed."""

import keras
import numpy as np
import tensorflow as tf

from experiments.benchmark.bare_optimizer import BareOptimizerTrainer
from meta_keras.layers import CoordinatewiseLSTM
from meta_keras.optimizers import OptimizerTrainer, truncations
from meta_keras.problems import ModelProblem

EXAMPLES, BATCH = 2000, 128


def make_problem(hidden):
    """A network with `hidden` sigmoid units on random pictures of MNIST's size."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(EXAMPLES, 784)).astype("float32")
    y = rng.integers(0, 10, EXAMPLES)
    normal = keras.initializers.RandomNormal(stddev=0.01)
    layers = [keras.layers.Dense(hidden, "sigmoid", kernel_initializer=normal)]
    layers.append(keras.layers.Dense(10, kernel_initializer=normal))
    return ModelProblem(
        keras.Sequential([keras.Input((784,)), *layers]),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        tf.data.Dataset.from_tensor_slices((x, y)),
        BATCH,
    )


def make_trainer(mode, problem, steps, **arguments):
    """A compiled trainer, the same weights every time; `arguments` are those it has besides."""
    keras.utils.set_random_seed(0)
    trainer = OptimizerTrainer(CoordinatewiseLSTM(), problem, unroll_steps=steps, **arguments)
    trainer.compile(
        keras.optimizers.Adam(1e-3, global_clipnorm=1.0),
        run_eagerly=mode == "eager",
        jit_compile=mode == "xla",
    )
    return trainer


def make_update(contender, hidden, steps):
    """A function without arguments that runs one meta-step and waits for it.

    Args:
        contender: `"eager"`, `"graph"`, `"xla"`, or `"bare"`, the reference without Keras.
        hidden: units of the network: its size is 795 hidden + 10.
        steps: of the unrolled run, from the start of an optimization.
    """
    problem = make_problem(hidden)
    trainer = make_trainer(contender, problem, steps)
    if contender == "bare":
        bare = BareOptimizerTrainer(trainer, problem.x, problem.y, hidden, BATCH)
        start, seed = problem.initial_parameters(0), tf.constant(0, tf.int64)
        return lambda: bare.train_step(start, seed).numpy()
    # Every optimization has one truncation, so that all contenders do the same work.
    iterator = iter(truncations(10**9, steps, steps))
    trainer.make_train_function()
    return lambda: float(trainer.train_function(iterator)["loss"])
