"""One measurement of `experiments.benchmark`, in this process: one of the functions `measure...`.

python -m experiments.measurements '{"measure": {...}}'     # arguments; prints JSON
"""

import itertools
import json
import resource
import sys
import time

import keras
import numpy as np
import tensorflow as tf

from experiments import optimizer_measurements
from experiments.bare_tensorflow import BareTensorFlow
from meta_keras import data
from meta_keras.learners import LSTMMetaLearner
from meta_keras.networks import conv4
from meta_keras.optimizers import truncations

NWAY, KSHOT, NQUERY, POOL = 5, 1, 15, 16  # POOL: different batches of episodes
WARM_UP = 3


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
        bare = BareTensorFlow(make_learner("graph", order, steps))
        start = time.perf_counter()
        bare.train_step(*next(iterator)).numpy()
        return lambda: bare.train_step(*next(iterator)).numpy(), time.perf_counter() - start
    learner = make_learner(contender, order, steps)
    start = time.perf_counter()
    learner.fit(episodes, steps_per_epoch=1, verbose=0)
    seconds = time.perf_counter() - start
    return lambda: float(learner.train_function(iterator)["loss"]), seconds


def peak_mib():
    """The most memory this process ever held."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def measure(contenders, order, steps, meta_batch, updates, threads):
    """Times contenders that take turns, update by update.

    Returns:
        JSON-able dict: for every contender `first_call_seconds` and the list `episode_seconds`,
        one a timed update; for the process `peak_mib`, and `growth_mib`, by how much the peak
        rose after the first tenth of the updates.
    """
    set_threads(threads)
    made = {name: make_update(name, order, steps, meta_batch) for name in contenders}
    seconds, settled_mib = take_turns({name: update for name, (update, _) in made.items()}, updates)
    return {
        "first_call_seconds": {name: first for name, (_, first) in made.items()},
        "episode_seconds": {name: [s / meta_batch for s in seconds[name]] for name in contenders},
        "peak_mib": peak_mib(),
        "growth_mib": peak_mib() - settled_mib,
    }


def take_turns(contenders, updates):
    """Times functions without arguments that take turns, `updates` times after a warm-up.

    Returns:
        `(seconds, mib)`: dict from a contender's name to the list of its times; and the process's
        peak memory after the first tenth.
    """
    for _, update in itertools.product(range(WARM_UP), contenders.values()):
        update()
    seconds = {name: [] for name in contenders}
    for number in range(updates):
        if number == updates // 10:
            settled_mib = peak_mib()
        # Every other round runs backwards: nobody always comes second.
        for name, update in list(contenders.items())[:: 1 if number % 2 == 0 else -1]:
            start = time.perf_counter()
            update()
            seconds[name].append(time.perf_counter() - start)
    return seconds, settled_mib


def measure_optimizer(contenders, hidden, steps, updates, threads):
    """Times the training step of a learned optimizer on a network with `hidden` units.

    Returns:
        JSON-able dict with `step_seconds`: for every contender the list of its times.
    """
    set_threads(threads)
    made = {
        name: optimizer_measurements.make_update(name, hidden, steps, recompute=False)
        for name in contenders
    }
    return {"step_seconds": take_turns(made, updates)[0], "peak_mib": peak_mib()}


def measure_recompute(hidden, steps, recompute, updates, threads):
    """Memory and time of a run of many steps without truncation.

    Returns:
        JSON-able dict: `seconds`, list; `run_mib`, by how much running raises the process's peak
        memory over what it has when everything is built and traced; `peak_mib`.
    """
    set_threads(threads)
    problem = optimizer_measurements.make_problem(hidden)
    trainer = optimizer_measurements.make_trainer("graph", problem, steps, recompute)
    step = tf.function(trainer.train_step)
    batch = next(iter(truncations(1, steps, steps)))
    step.get_concrete_function(batch)
    traced_mib = peak_mib()
    seconds, _ = take_turns({"graph": lambda: step(batch)["loss"].numpy()}, updates)
    return {
        "seconds": seconds["graph"],
        "run_mib": peak_mib() - traced_mib,
        "peak_mib": peak_mib(),
    }


def measure_pipeline(episodes, threads):
    """How many episodes a second `meta_keras.data.episodes` delivers when nothing else runs.

    Args:
        episodes: how many to time.
        threads: as in `measure`.

    Returns:
        JSON-able dict with `episodes_per_second`.
    """
    set_threads(threads)
    # As many drawings as Omniglot's training classes with their rotations.
    drawings = np.random.default_rng(0).integers(0, 256, (4400, 20, 28, 28), dtype=np.uint8)
    warm_up = episodes // 10
    stream = data.episodes(drawings, NWAY, KSHOT, NQUERY, seed=0, count=warm_up + episodes)
    iterator = iter(stream)
    for _ in range(warm_up):
        next(iterator)
    start = time.perf_counter()
    for _ in range(episodes):
        next(iterator)
    return {"episodes_per_second": episodes / (time.perf_counter() - start)}


def set_threads(threads):
    tf.config.threading.set_intra_op_parallelism_threads(threads["intra_op"])
    tf.config.threading.set_inter_op_parallelism_threads(threads["inter_op"])


if __name__ == "__main__":
    [(name, arguments)] = json.loads(sys.argv[1]).items()
    functions = (measure, measure_pipeline, measure_optimizer, measure_recompute)
    result = {function.__name__: function for function in functions}[name](**arguments)
    print(json.dumps(result))
