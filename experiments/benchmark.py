"""How long an episode takes, and how much memory: `python -m experiments.benchmark`.

Trains the LSTM meta-learner (conv4-32, 28x28, 5-way 1-shot, 15 queries) on random pictures with a
full update: inner loop, query loss, meta-gradient, clipping and Adam. From the reference point
(graph, first order, T=8, meta-batch 1) one thing is varied at a time. Every measurement runs in a
process of its own, so that its peak memory is its own and its failure stays its own.

Ratios are taken in one process in which two contenders take turns, update by update: what else
the machine does then slows both alike.
"""

import importlib.metadata
import itertools
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from absl import app, flags

# TensorFlow is imported by the measuring processes only: a child inherits its parent's peak
# memory, so this one stays small.

MODES = ("eager", "graph", "xla")
NWAY, KSHOT, NQUERY, POOL = 5, 1, 15, 16  # POOL: different batches of episodes
REFERENCE = {"contenders": ["graph"], "order": 1, "steps": 8, "meta_batch": 1}
WARM_UP = 3

BARE_RATIO = 1.15
EAGER_RATIO = 4.0
LINEAR_R2 = 0.99
# One parameter vector kept alive by every update would be 109 MiB in 1,000.
FLAT_MIB = 32.0

QUICK = {
    "modes": ["graph"],
    "orders": ["1"],
    "steps": ["1", "4", "8"],
    "meta_batches": ["1", "2"],
    "updates": 15,
    "memory_updates": 100,
    "memory_steps": 1,
}

flags.DEFINE_list("modes", list(MODES), "How the update runs, any of eager, graph, xla.")
flags.DEFINE_list("orders", ["1", "2"], "Orders of the meta-gradient, any of 1, 2.")
flags.DEFINE_list("steps", ["1", "2", "4", "8", "16", "32"], "Numbers of inner steps T.")
flags.DEFINE_list("meta_batches", ["1", "2", "4", "8"], "Numbers of episodes an update.")
flags.DEFINE_integer("updates", 30, "Timed updates of every measurement.", lower_bound=3)
flags.DEFINE_integer(
    "memory_updates", 1000, "Updates over which memory must stay flat; 0: none.", lower_bound=0
)
flags.DEFINE_integer("memory_steps", 8, "Inner steps T of the memory run.", lower_bound=1)
flags.DEFINE_integer(
    "timeout", 1800, "Seconds after which one measurement is given up.", lower_bound=1
)
flags.DEFINE_integer("intra_op_threads", 0, "TensorFlow's threads in an op.", lower_bound=0)
flags.DEFINE_integer("inter_op_threads", 0, "TensorFlow's ops side by side.", lower_bound=0)
flags.DEFINE_string("output", None, "JSON file for everything measured; none by default.")
flags.DEFINE_bool(
    "quick", False, f"Two minutes on an idle machine: other defaults, {QUICK}. Flags given count."
)
flags.DEFINE_string("measurement", None, "Internal: the one measurement to run here, as JSON.")
FLAGS = flags.FLAGS


def _all_of(values, allowed):
    return bool(values) and all(value in allowed for value in values)


def _positive_integers(values):
    return bool(values) and all(value.isdecimal() and int(value) > 0 for value in values)


flags.register_validator(
    "modes", lambda v: _all_of(v, MODES), f"must be a list of some of {', '.join(MODES)}."
)
flags.register_validator("orders", lambda v: _all_of(v, "12"), "must be 1, 2 or 1,2.")
for _name in ("steps", "meta_batches"):
    flags.register_validator(
        _name, _positive_integers, "must be a list of positive integers such as 1,2,4."
    )


# The measuring process.


def make_learner(mode, order, steps):
    """A freshly initialised, compiled learner, the same weights every time."""
    import keras

    from meta_keras.learners import LSTMMetaLearner
    from meta_keras.networks import conv4

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
    import numpy as np
    import tensorflow as tf

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
        contender: one of `MODES`, or `"bare"` for the reference without Keras (first order).
        order: 1 or 2, of the meta-gradient.
        steps: T.
        meta_batch: episodes an update.

    Returns:
        `(update, seconds)`: a function without arguments that runs one update and waits for it,
        and how long the first one took, tracing and compiling included.
    """
    from experiments.bare_tensorflow import BareTensorFlow

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
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads["intra_op"])
    tf.config.threading.set_inter_op_parallelism_threads(threads["inter_op"])
    made = {name: make_update(name, order, steps, meta_batch) for name in contenders}
    for _, (update, _) in itertools.product(range(WARM_UP), made.values()):
        update()
    episode_seconds = {name: [] for name in contenders}
    for number in range(updates):
        if number == updates // 10:
            settled_mib = peak_mib()
        # Every other round runs backwards: nobody always comes second.
        for name, (update, _) in list(made.items())[:: 1 if number % 2 == 0 else -1]:
            start = time.perf_counter()
            update()
            episode_seconds[name].append((time.perf_counter() - start) / meta_batch)
    return {
        "first_call_seconds": {name: seconds for name, (_, seconds) in made.items()},
        "episode_seconds": episode_seconds,
        "peak_mib": peak_mib(),
        "growth_mib": peak_mib() - settled_mib,
    }


# The process that plans, waits and reports.


def plan():
    """The measurements that the flags ask for: dict from a name to its settings."""
    variations = [
        {"contenders": ["graph", "bare"]},
        {"contenders": ["graph", "eager"]},
        *({"contenders": [m], "order": int(o)} for m in FLAGS.modes for o in FLAGS.orders),
        *({"steps": int(steps)} for steps in FLAGS.steps),
        *({"meta_batch": int(size)} for size in FLAGS.meta_batches),
    ]
    measurements = {}
    for variation in variations:
        settings = {**REFERENCE, **variation, "updates": FLAGS.updates}
        name = "{}, order {order}, T={steps}, meta-batch {meta_batch}"
        measurements[name.format(" / ".join(settings["contenders"]), **settings)] = settings
    if FLAGS.memory_updates:
        memory = {"steps": FLAGS.memory_steps, "updates": FLAGS.memory_updates}
        measurements["memory"] = {**REFERENCE, **memory}
    threads = {"intra_op": FLAGS.intra_op_threads, "inter_op": FLAGS.inter_op_threads}
    return {name: {**settings, "threads": threads} for name, settings in measurements.items()}


def run(settings):
    """Runs `measure(**settings)` in a process of its own; a failure is a dict with `error`."""
    command = [sys.executable, "-m", "experiments.benchmark"]
    try:
        finished = subprocess.run(
            [*command, f"--measurement={json.dumps(settings)}"],
            cwd=pathlib.Path(__file__).parents[1],
            env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ},
            capture_output=True,
            text=True,
            timeout=FLAGS.timeout,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"not done after --timeout={FLAGS.timeout} seconds"}
    if finished.returncode != 0:
        last_line = (finished.stderr.strip().splitlines() or ["nothing on stderr"])[-1]
        return {"error": f"exit code {finished.returncode}: {last_line}"}
    return json.loads(finished.stdout.splitlines()[-1])


HEADER = f"{'':10}{'mode':<7}{'order':>6}{'T':>4}{'batch':>7}{'s/episode':>12}"
HEADER += f"{'first call s':>14}{'peak MiB':>10}"


def table_rows(name, settings, result):
    """The lines of the table for one measurement, one a contender."""
    alone = len(settings["contenders"]) == 1
    label = "" if alone and name != "memory" else name if alone else "in turns"
    for mode in settings["contenders"]:
        row = f"{label:<10}{mode:<7}{settings['order']:>6}{settings['steps']:>4}"
        row += f"{settings['meta_batch']:>7}"
        if "error" in result:
            yield f"{row}  FAILED: {result['error']}"
            continue
        row += f"{statistics.median(result['episode_seconds'][mode]):>12.4f}"
        row += f"{result['first_call_seconds'][mode]:>14.1f}"
        # Contenders in one process share its peak.
        yield row + (f"{result['peak_mib']:>10.0f}" if alone else "")


def requirements(measurements, results):
    """What the numbers must reach.

    Returns:
        List of `(sentence with the measured value, whether it is met)`; what was not measured is
        left out.
    """
    verdicts, points = [], {}
    for name, settings in measurements.items():
        result, pair = results[name], settings["contenders"]
        if "error" in result:
            continue
        if len(pair) == 2:
            ratio = statistics.median(
                b / a for a, b in zip(*(result["episode_seconds"][m] for m in pair), strict=True)
            )
            if pair[1] == "bare":
                text = f"graph / bare TensorFlow: {1 / ratio:.2f} (at most {BARE_RATIO})"
                verdicts.append((text, 1 / ratio <= BARE_RATIO))
            else:
                text = f"eager / graph: {ratio:.1f} (at least {EAGER_RATIO})"
                verdicts.append((text, ratio >= EAGER_RATIO))
        elif name == "memory":
            text = f"peak memory grew {result['growth_mib']:.1f} MiB over {settings['updates']} "
            text += f"updates, the first tenth left out (at most {FLAT_MIB:.0f})"
            verdicts.append((text, result["growth_mib"] <= FLAT_MIB))
        elif {**settings, "steps": REFERENCE["steps"]}.items() >= REFERENCE.items():
            points[settings["steps"]] = statistics.median(result["episode_seconds"]["graph"])
    if len(points) > 2:
        slope, intercept = statistics.linear_regression(list(points), list(points.values()))
        r2 = statistics.correlation(list(points), list(points.values())) ** 2
        text = f"seconds an episode = {intercept:.4f} + {slope:.4f} T, R^2 = {r2:.4f} over "
        text += f"T = {', '.join(map(str, sorted(points)))} (at least {LINEAR_R2})"
        verdicts.append((text, r2 >= LINEAR_R2))
    return verdicts


def machine():
    """What the numbers were measured on."""
    packages = ("tensorflow", "keras", "numpy")
    return {
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "load_average": os.getloadavg(),
        "versions": {
            "python": platform.python_version(),
            **{package: importlib.metadata.version(package) for package in packages},
        },
    }


def write_json(path, content):
    """Writes a file that is complete or absent."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False) as file:
        json.dump(content, file, indent=1)
    os.replace(file.name, path)


def main(arguments):
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected arguments: {' '.join(arguments[1:])}")
    if FLAGS.measurement:
        print(json.dumps(measure(**json.loads(FLAGS.measurement))))
        return 0
    if FLAGS.quick:
        for name, value in QUICK.items():
            FLAGS.set_default(name, value)
    report = {"experiment": "benchmark", **machine()}
    report["flags"] = {f.name: f.value for f in FLAGS.get_key_flags_for_module(sys.argv[0])}
    print(", ".join(f"{k} {v}" for k, v in report["versions"].items()))
    print(f"{report['platform']}, {report['processors']} processors")
    if report["load_average"][0] > 0.5:
        print(f"The machine is busy (load {report['load_average'][0]:.1f}): trust ratios only.")
    print(f"\n{HEADER}", flush=True)
    measurements, results = plan(), {}
    for name, settings in measurements.items():
        results[name] = run(settings)
        print("\n".join(table_rows(name, settings, results[name])), flush=True)
    verdicts = requirements(measurements, results)
    print()
    for text, met in verdicts:
        print(f"{'ok' if met else 'NOT met':<9}{text}")
    if len(verdicts) < 4:
        print("The other requirements were not measured.")
    if FLAGS.output:
        report["measurements"] = {n: {"settings": s, **results[n]} for n, s in measurements.items()}
        report["requirements"] = [{"text": text, "met": met} for text, met in verdicts]
        write_json(FLAGS.output, report)
    return int(any("error" in result for result in results.values()))


if __name__ == "__main__":
    app.run(main)
