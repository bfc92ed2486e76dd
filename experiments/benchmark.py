"""How long an episode takes, and how much memory: `python -m experiments.benchmark`.

Few-shot learning (`--subject=few_shot`): trains the LSTM meta-learner (conv4-32, 28x28, 5-way
1-shot, 15 queries) on random pictures with a full update: inner loop, query loss, meta-gradient,
clipping and Adam. From the reference point (graph, first order, T=8, meta-batch 1) one thing is
varied at a time. The learned optimizer (`--subject=optimizer`): see `optimizer_benchmark`.

Every measurement runs in a process of its own, so that its peak memory is its own and its failure
stays its own.

Ratios are taken in one process in which two contenders take turns, update by update: what else
the machine does then slows both alike.
"""

import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

from absl import app, flags

from experiments import optimizer_benchmark
from experiments.files import versions, write_json

# TensorFlow is imported by the measuring processes only: a child inherits its parent's peak
# memory, so this one stays small.

MODES = ("eager", "graph", "xla")
REFERENCE = {"contenders": ["graph"], "order": 1, "steps": 8, "meta_batch": 1}

BARE_RATIO = 1.15
EAGER_RATIO = 4.0
LINEAR_R2 = 0.99
# One parameter vector kept alive by every update would be 109 MiB in 1,000.
FLAT_MIB = 32.0
PIPELINE_RATIO = 10.0
PIPELINE_EPISODES = 5000

QUICK = {
    "modes": ["graph"],
    "orders": ["1"],
    "steps": ["1", "4", "8"],
    "meta_batches": ["1", "2"],
    "updates": 15,
    "memory_updates": 100,
    "memory_steps": 1,
}

flags.DEFINE_enum(
    "subject", "both", ["few_shot", "optimizer", "both"], "Whose training is measured."
)
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

flags.register_validator(
    "output",
    lambda v: v is None or os.access(pathlib.Path(v).absolute().parent, os.W_OK),
    "its folder must exist and be writable.",
)


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
    return {name: {**settings, "threads": threads()} for name, settings in measurements.items()}


def threads():
    return {"intra_op": FLAGS.intra_op_threads, "inter_op": FLAGS.inter_op_threads}


def run(name, arguments, timeout):
    """Runs a function of `experiments.measurements` in a process of its own.

    Returns:
        What it returns; a failure is a dict with `error`.
    """
    try:
        finished = subprocess.run(
            [sys.executable, "-m", "experiments.measurements", json.dumps({name: arguments})],
            cwd=pathlib.Path(__file__).parents[1],
            env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"not done after --timeout={timeout} seconds"}
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


def pipeline_requirement(results, pipeline):
    """The episode pipeline against the fastest training measured, as in `requirements`."""
    timed = [r["episode_seconds"] for r in results.values() if "error" not in r]
    fastest = min(
        (statistics.median(seconds) for r in timed for seconds in r.values()), default=None
    )
    if "error" in pipeline or fastest is None:
        return []
    ratio = pipeline["episodes_per_second"] * fastest
    text = f"the pipeline delivers {pipeline['episodes_per_second']:,.0f} episodes/s, {ratio:.0f} "
    text += f"times what the fastest training here consumes (at least {PIPELINE_RATIO:.0f})"
    return [(text, ratio >= PIPELINE_RATIO)]


def main(arguments):
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected arguments: {' '.join(arguments[1:])}")
    if FLAGS.quick:
        for name, value in QUICK.items():
            FLAGS.set_default(name, value)
    load = os.getloadavg()[0]
    report = {
        "experiment": "benchmark",
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "load_average": load,
        "versions": versions(),
        "flags": {f.name: f.value for f in FLAGS.get_key_flags_for_module(sys.argv[0])},
        "measurements": {},
    }
    print(", ".join(f"{k} {v}" for k, v in report["versions"].items()))
    print(f"{report['platform']}, {report['processors']} processors")
    if load > 0.5:
        print(f"The machine is busy (load {load:.1f}): trust ratios only.")
    verdicts, expected = [], 0
    if FLAGS.subject != "optimizer":
        verdicts += benchmark_few_shot(report)
        expected += 5
    if FLAGS.subject != "few_shot":
        verdicts += benchmark_optimizer(report)
        expected += 5
    print()
    for text, met in verdicts:
        print(f"{'ok' if met else 'NOT met':<9}{text}")
    if len(verdicts) < expected:
        print("The other requirements were not measured.")
    report["requirements"] = [{"text": text, "met": met} for text, met in verdicts]
    if FLAGS.output:
        write_json(FLAGS.output, report)
    return int(any("error" in result for result in report["measurements"].values()))


def benchmark_few_shot(report):
    """Measures few-shot training; adds to the report's measurements and returns the verdicts."""
    print(f"\n{HEADER}", flush=True)
    measurements, results = plan(), {}
    for name, settings in measurements.items():
        results[name] = run("measure", settings, FLAGS.timeout)
        print("\n".join(table_rows(name, settings, results[name])), flush=True)
        report["measurements"][name] = {"settings": settings, **results[name]}
    pipeline = run(
        "measure_pipeline", {"episodes": PIPELINE_EPISODES, "threads": threads()}, FLAGS.timeout
    )
    report["measurements"]["episode pipeline"] = pipeline
    if "error" in pipeline:
        print(f"episode pipeline  FAILED: {pipeline['error']}")
    return requirements(measurements, results) + pipeline_requirement(results, pipeline)


def benchmark_optimizer(report):
    """The same for the training of a learned optimizer."""
    print("\nlearned optimizer, seconds an update:", flush=True)
    measurements, results = optimizer_benchmark.plan(FLAGS.updates, FLAGS.quick), {}
    for name, (function, settings) in measurements.items():
        settings = {**settings, "threads": threads()}
        results[name] = run(function, settings, FLAGS.timeout)
        print(optimizer_benchmark.row(name, results[name]), flush=True)
        report["measurements"][name] = {"settings": settings, **results[name]}
    return optimizer_benchmark.requirements(measurements, results)


if __name__ == "__main__":
    app.run(main)
