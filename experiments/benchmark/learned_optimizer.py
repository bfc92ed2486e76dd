"""The training of a learned optimizer: what is measured and required.

Trains the coordinatewise LSTM on a network with 20 sigmoid units on pictures of MNIST's size
(15,910 coordinates), truncations of 20 steps, a full update each: optimizee gradients, unroll,
meta-gradient, clipping and Adam.
"""

import statistics

from experiments.benchmark import process, verdicts

REFERENCE = {"contenders": ["graph"], "hidden": 20, "steps": 20}
HIDDEN, STEPS = (5, 10, 20, 40), (5, 10, 20, 40)

REQUIREMENTS = 5
BARE_RATIO = 1.15
EAGER_RATIO = 2.0
LINEAR_R2 = 0.99
RECOMPUTE_STEPS, RECOMPUTE_MEMORY, RECOMPUTE_TIME = 100, 1 / 3, 1.6


def benchmark(options):
    """Measures and prints everything asked for.

    Args:
        options: `Options`.

    Returns:
        `(measured, verdicts)`: JSON-able dict from a measurement's name to its settings and
        result, and a list, see `requirements`.
    """
    print("\nlearned optimizer, seconds an update:", flush=True)
    planned, results, measured = plan(options.updates, options.quick), {}, {}
    for name, (function, settings) in planned.items():
        settings = {**settings, "runtime": options.runtime}
        results[name] = process.run(function, settings, options.timeout)
        print(row(name, results[name]), flush=True)
        measured[name] = {"settings": settings, **results[name]}
    return measured, requirements(planned, results)


def plan(updates, quick):
    """The measurements: dict from a name to `(function of measure, its arguments)`."""
    variations = [{"contenders": ["graph", "bare"]}, {"contenders": ["graph", "eager"]}]
    if not quick:
        variations.append({"contenders": ["xla"]})
    variations += [{"hidden": hidden} for hidden in (HIDDEN[::2] if quick else HIDDEN)]
    variations += [{"steps": steps} for steps in (STEPS[::2] if quick else STEPS)]
    measurements = {}
    for variation in variations:
        settings = {**REFERENCE, **variation}
        name = f"{' / '.join(settings['contenders'])}, {coordinates(settings):,} coordinates, "
        name += f"{settings['steps']} steps"
        measurements[name] = ("measure_optimizer", {**settings, "updates": updates})
    steps = 25 if quick else RECOMPUTE_STEPS
    for recompute in (False, True):
        name = f"{steps} steps {'recomputed' if recompute else 'stored'}"
        arguments = {"hidden": 20, "steps": steps, "recompute": recompute}
        measurements[name] = ("measure_recompute", {**arguments, "updates": min(updates, 5)})
    return measurements


def coordinates(settings):
    """Size of the network: 784 inputs, `hidden` units, 10 outputs, biases."""
    return 795 * settings["hidden"] + 10


def row(name, result):
    """A line of the report for one measurement."""
    if "error" in result:
        return f"{name:<58}FAILED: {result['error']}"
    if "run_mib" in result:
        seconds = statistics.median(result["seconds"])
        text = f"{seconds:.2f} s, {result['run_mib']:.0f} MiB over the traced process"
        return f"{name:<58}{text} (peak {result['peak_mib']:.0f})"
    times = (f"{m} {statistics.median(s):.4f} s" for m, s in result["step_seconds"].items())
    return f"{name:<58}{', '.join(times)} (peak {result['peak_mib']:.0f} MiB)"


def requirements(planned, results):
    """What the numbers must reach.

    Returns:
        List of verdicts; what was not measured is left out.
    """
    found = []
    points = {"coordinates": {}, "steps": {}}
    recompute = {}
    for name, (function, settings) in planned.items():
        result = results[name]
        if "error" in result:
            continue
        if function == "measure_recompute":
            recompute[settings["recompute"]] = result
            continue
        seconds, contenders = result["step_seconds"], settings["contenders"]
        if len(contenders) == 2:
            limits = BARE_RATIO, EAGER_RATIO
            found.append(verdicts.ratio(seconds, contenders, *limits, subject="optimizer: "))
        elif contenders == ["graph"]:
            median = statistics.median(seconds["graph"])
            if settings["steps"] == REFERENCE["steps"]:
                points["coordinates"][coordinates(settings)] = median
            if settings["hidden"] == REFERENCE["hidden"]:
                points["steps"][settings["steps"]] = median
    for what, line in points.items():
        if len(line) > 2:
            r2 = verdicts.r_squared(line)
            text = f"optimizer: time is linear in {what}, R^2 = {r2:.4f} (at least {LINEAR_R2})"
            found.append((text, r2 >= LINEAR_R2))
    if len(recompute) == 2:
        stored, recomputed = recompute[False], recompute[True]
        memory = recomputed["run_mib"] / stored["run_mib"]
        text = f"optimizer: recomputing takes {memory:.2f} of the memory "
        text += f"(at most {RECOMPUTE_MEMORY:.2f}) and "
        slowdown = statistics.median(recomputed["seconds"]) / statistics.median(stored["seconds"])
        text += f"{slowdown:.2f} of the time (at most {RECOMPUTE_TIME})"
        found.append((text, memory <= RECOMPUTE_MEMORY and slowdown <= RECOMPUTE_TIME))
    return found
