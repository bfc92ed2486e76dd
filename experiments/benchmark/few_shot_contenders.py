"""What takes turns when few-shot training is timed."""

import time

import keras
import numpy as np
import tensorflow as tf

from experiments.benchmark.bare_few_shot import BareFewShotTrainer
from meta_keras.learners import LSTMMetaLearner
from meta_keras.networks import conv4

NWAY, KSHOT, NQUERY = 5, 1, 15
POOL = 16  # different batches of episodes


def make_learner(mode, order, steps):
    """A freshly initialised, compiled learner, the same weights every time."""
    keras.utils.set_random_seed(0)
    learner = LSTMMetaLearner(conv4(NWAY), inner_steps=steps, second_order=order == 2)
    learner.compile(
        keras.optimizers.Adam(1e-3, global_clipnorm=0.25),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=mode == "eager",
        jit_compile=mode == "xla",
    )
    return learner


def make_episodes(meta_batch):
    """An endless dataset of batches `(x, y)` of episodes of random pictures."""
    rng = np.random.default_rng(0)
    episodes = POOL * meta_batch

    def pictures(per_class):
        return rng.uniform(size=(episodes, NWAY * per_class, 28, 28, 1)).astype("float32")

    def labels(per_class):
        return np.tile(np.arange(NWAY, dtype="int32").repeat(per_class), (episodes, 1))

    x = {
        "support_images": pictures(KSHOT),
        "support_labels": labels(KSHOT),
        "query_images": pictures(NQUERY),
    }
    dataset = tf.data.Dataset.from_tensor_slices((x, labels(NQUERY)))
    return dataset.batch(meta_batch, drop_remainder=True).repeat()


def make_update(contender, order, steps, meta_batch):
    """Builds one contender and runs its first update.

    Args:
        contender: `"eager"`, `"graph"`, `"xla"`, or `"bare"`, the reference without Keras
            (first order).
        order: 1 or 2, of the meta-gradient.
        steps: T.
        meta_batch: episodes an update.

    Returns:
        `(update, seconds)`: a function without arguments that runs one update and waits for it,
        and how long the first one took, tracing and compiling included.
    """
    episodes = make_episodes(meta_batch)
    iterator = iter(episodes)
    if contender == "bare":
        bare = BareFewShotTrainer(make_learner("graph", order, steps))
        start = time.perf_counter()
        bare.train_step(*next(iterator)).numpy()
        return lambda: bare.train_step(*next(iterator)).numpy(), time.perf_counter() - start
    learner = make_learner(contender, order, steps)
    start = time.perf_counter()
    learner.fit(episodes, steps_per_epoch=1, verbose=0)
    seconds = time.perf_counter() - start
    return lambda: float(learner.train_function(iterator)["loss"]), seconds
