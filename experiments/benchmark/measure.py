"""One measurement in this process, by one of the functions `measure...`; prints JSON.

python -m experiments.benchmark.measure '{"measure_few_shot": {...}}'     # its arguments
"""

import itertools
import json
import pathlib
import re
import resource
import sys
import time

import numpy as np
import tensorflow as tf

from experiments import devices
from experiments.benchmark import few_shot_contenders, optimizer_contenders
from experiments.benchmark.few_shot_contenders import KSHOT, NQUERY, NWAY
from meta_keras import data
from meta_keras.optimizers import truncations

WARM_UP = 3


def peak_mib():
    """The most memory this process ever held."""
    status = pathlib.Path("/proc/self/status")
    found = status.exists() and re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
    if found:
        return int(found[1]) / 2**10
    # On Linux the second choice: there it counts what the parent held when it started this one.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def measure_few_shot(contenders, order, steps, meta_batch, updates, runtime):
    """Times contenders that take turns, update by update.

    Returns:
        JSON-able dict: for every contender `first_call_seconds` and the list `episode_seconds`,
        one a timed update; for the process `peak_mib`, and `growth_mib`, by how much the peak
        rose after the first tenth of the updates.
    """
    set_up(runtime)
    made = {
        name: few_shot_contenders.make_update(name, order, steps, meta_batch) for name in contenders
    }
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


def measure_optimizer(contenders, hidden, steps, updates, runtime):
    """Times the training step of a learned optimizer on a network with `hidden` units.

    Returns:
        JSON-able dict with `step_seconds`: for every contender the list of its times.
    """
    set_up(runtime)
    made = {name: optimizer_contenders.make_update(name, hidden, steps) for name in contenders}
    return {"step_seconds": take_turns(made, updates)[0], "peak_mib": peak_mib()}


def measure_recompute(hidden, steps, recompute, updates, runtime):
    """Memory and time of a run of many steps without truncation.

    Returns:
        JSON-able dict: `seconds`, list; `run_mib`, by how much running raises the process's peak
        memory over what it has when everything is built and traced; `peak_mib`.
    """
    set_up(runtime)
    problem = optimizer_contenders.make_problem(hidden)
    trainer = optimizer_contenders.make_trainer("graph", problem, steps, recompute=recompute)
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


def measure_pipeline(episodes, runtime):
    """How many episodes a second `meta_keras.data.episodes` delivers when nothing else runs.

    Args:
        episodes: how many to time.
        runtime: see `set_up`.

    Returns:
        JSON-able dict with `episodes_per_second`.
    """
    set_up(runtime)
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


def set_up(runtime):
    """Lets TensorFlow run on a device with so many threads.

    Args:
        runtime: dict of `device`, see `devices.use`, and `intra_op` and `inter_op`, numbers
            of threads; 0: TensorFlow's choice.
    """
    devices.use(runtime["device"])
    tf.config.threading.set_intra_op_parallelism_threads(runtime["intra_op"])
    tf.config.threading.set_inter_op_parallelism_threads(runtime["inter_op"])


if __name__ == "__main__":
    [(name, arguments)] = json.loads(sys.argv[1]).items()
    functions = (measure_few_shot, measure_pipeline, measure_optimizer, measure_recompute)
    result = {function.__name__: function for function in functions}[name](**arguments)
    print(json.dumps(result))
