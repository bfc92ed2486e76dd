"""Few-shot training: what is measured and required.

Trains the LSTM meta-learner (conv4-32, 28x28, 5-way 1-shot, 15 queries) on random pictures with a
full update: inner loop, query loss, meta-gradient, clipping and Adam. From the reference point
(graph, first order, T=8, meta-batch 1) one thing is varied at a time.
"""

import statistics

from experiments.benchmark import process, verdicts

REFERENCE = {"contenders": ["graph"], "order": 1, "steps": 8, "meta_batch": 1}

REQUIREMENTS = 5
BARE_RATIO = 1.15
EAGER_RATIO = 4.0
LINEAR_R2 = 0.99
# One parameter vector kept alive by every update would be 109 MiB in 1,000.
FLAT_MIB = 32.0
PIPELINE_RATIO = 10.0
PIPELINE_EPISODES = 5000

HEADER = f"{'':10}{'mode':<7}{'order':>6}{'T':>4}{'batch':>7}{'s/episode':>12}"
HEADER += f"{'first call s':>14}{'peak MiB':>10}"


def benchmark(options):
    """Measures and prints everything asked for.

    Args:
        options: `Options`.

    Returns:
        `(measured, verdicts)`: JSON-able dict from a measurement's name to its settings and
        result, and a list, see `requirements`.
    """
    print(f"\n{HEADER}", flush=True)
    planned, results = plan(options), {}
    for name, settings in planned.items():
        results[name] = process.run("measure_few_shot", settings, options.timeout)
        print("\n".join(table_rows(name, settings, results[name])), flush=True)
    arguments = {"episodes": PIPELINE_EPISODES, "runtime": options.runtime}
    pipeline = process.run("measure_pipeline", arguments, options.timeout)
    if "error" in pipeline:
        print(f"episode pipeline  FAILED: {pipeline['error']}")
    measured = {name: {"settings": planned[name], **result} for name, result in results.items()}
    return (
        {**measured, "episode pipeline": pipeline},
        requirements(planned, results) + pipeline_requirement(results, pipeline),
    )


def plan(options):
    """The measurements asked for: dict from a name to the arguments of `measure_few_shot`."""
    variations = [
        {"contenders": ["graph", "bare"]},
        {"contenders": ["graph", "eager"]},
        *({"contenders": [m], "order": order} for m in options.modes for order in options.orders),
        *({"steps": steps} for steps in options.steps),
        *({"meta_batch": size} for size in options.meta_batches),
    ]
    measurements = {}
    for variation in variations:
        settings = {**REFERENCE, **variation, "updates": options.updates}
        name = "{}, order {order}, T={steps}, meta-batch {meta_batch}"
        measurements[name.format(" / ".join(settings["contenders"]), **settings)] = settings
    if options.memory_updates:
        memory = {"steps": options.memory_steps, "updates": options.memory_updates}
        measurements["memory"] = {**REFERENCE, **memory}
    return {
        name: {**settings, "runtime": options.runtime} for name, settings in measurements.items()
    }


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


def requirements(planned, results):
    """What the numbers must reach.

    Returns:
        List of verdicts; what was not measured is left out.
    """
    found, points = [], {}
    for name, settings in planned.items():
        result, contenders = results[name], settings["contenders"]
        if "error" in result:
            continue
        if len(contenders) == 2:
            seconds = result["episode_seconds"]
            found.append(verdicts.ratio(seconds, contenders, BARE_RATIO, EAGER_RATIO))
        elif name == "memory":
            text = f"peak memory grew {result['growth_mib']:.1f} MiB over {settings['updates']} "
            text += f"updates, the first tenth left out (at most {FLAT_MIB:.0f})"
            found.append((text, result["growth_mib"] <= FLAT_MIB))
        elif {**settings, "steps": REFERENCE["steps"]}.items() >= REFERENCE.items():
            points[settings["steps"]] = statistics.median(result["episode_seconds"]["graph"])
    if len(points) > 2:
        slope, intercept = statistics.linear_regression(list(points), list(points.values()))
        r2 = verdicts.r_squared(points)
        text = f"seconds an episode = {intercept:.4f} + {slope:.4f} T, R^2 = {r2:.4f} over "
        text += f"T = {', '.join(map(str, sorted(points)))} (at least {LINEAR_R2})"
        found.append((text, r2 >= LINEAR_R2))
    return found


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
