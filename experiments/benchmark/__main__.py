"""How long an episode takes, and how much memory: `python -m experiments.benchmark`.

Few-shot learning (`--subject=few_shot`): from a reference point (graph, first order, T=8,
meta-batch 1) one thing is varied at a time. The learned optimizer (`--subject=optimizer`):
likewise.

Ratios are taken in one process in which two contenders take turns, update by update: what else
the machine does then slows both alike.
"""

import dataclasses
import functools
import os
import pathlib
import platform
import sys

from absl import app, flags

from experiments import devices
from experiments.benchmark import few_shot, learned_optimizer
from experiments.benchmark.options import MODES, QUICK, SUBJECTS, Options, resolve


def define_flags(flag_values):
    """Adds the program's flags to absl's `flag_values`.

    None is the default of those whose default `--quick` changes; `options_of` puts it in.
    """
    to = {"flag_values": flag_values}
    flags.DEFINE_enum("subject", Options.subject, SUBJECTS, "Whose training is measured.", **to)
    for name, text in {
        "modes": "How the update runs, any of eager, graph, xla.",
        "orders": "Orders of the meta-gradient, any of 1, 2.",
        "steps": "Numbers of inner steps T.",
        "meta_batches": "Numbers of episodes an update.",
    }.items():
        flags.DEFINE_list(name, None, f"{text} {_default(name)}", **to)
    for name, lower_bound, text in [
        ("updates", 3, "Timed updates of every measurement."),
        ("memory_updates", 0, "Updates over which memory must stay flat; 0: none."),
        ("memory_steps", 1, "Inner steps T of the memory run."),
    ]:
        text += f" {_default(name)}"
        flags.DEFINE_integer(name, None, text, lower_bound=lower_bound, **to)
    for name, lower_bound, text in [
        ("timeout", 1, "Seconds after which one measurement is given up."),
        ("intra_op_threads", 0, "TensorFlow's threads in an op."),
        ("inter_op_threads", 0, "TensorFlow's ops side by side."),
    ]:
        default = getattr(Options, name)
        flags.DEFINE_integer(name, default, text, lower_bound=lower_bound, **to)
    devices.define(flag_values)
    text = "JSON file for everything measured; none by default."
    flags.DEFINE_string("output", Options.output, text, **to)
    quick = " ".join(f"--{name}={_shown(value)}" for name, value in QUICK.items())
    text = f"Two minutes on an idle machine: other defaults, {quick}. Flags given count."
    flags.DEFINE_bool("quick", Options.quick, text, **to)
    _register_validators(to)


def _shown(value):
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _default(name):
    return f"Default: {_shown(getattr(Options, name))}."


def _register_validators(to):
    def check(name, good, message):
        flags.register_validator(name, lambda value: value is None or good(value), message, **to)

    def some_of(allowed):
        return lambda values: bool(values) and set(values) <= set(allowed)

    def positive(values):
        return bool(values) and all(value.isdecimal() and int(value) > 0 for value in values)

    check("modes", some_of(MODES), f"must be a list of some of {', '.join(MODES)}.")
    check("orders", some_of("12"), "must be 1, 2 or 1,2.")
    for name in ("steps", "meta_batches"):
        check(name, positive, "must be a list of positive integers such as 1,2,4.")
    check(
        "output",
        lambda file: os.access(pathlib.Path(file).absolute().parent, os.W_OK),
        "its folder must exist and be writable.",
    )


def options_of(flag_values):
    """The `Options` that parsed flags ask for."""
    given = {field.name: flag_values[field.name].value for field in dataclasses.fields(Options)}
    for name, kind in {"modes": str, "orders": int, "steps": int, "meta_batches": int}.items():
        if given[name] is not None:
            given[name] = tuple(map(kind, given[name]))
    return resolve(given)


def benchmark(options):
    """Measures, prints and writes what `options` ask for. Returns the exit code."""
    load = os.getloadavg()[0]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # It brings TensorFlow along, which takes seconds: help and refusals do not wait for it.
    from meta_keras.errors import SettingError
    from meta_keras.files import versions, write_json

    try:
        device = devices.use(options.device)
    except SettingError as error:
        print(f"\nUsageError: --{error}", file=sys.stderr)
        return 2
    report = {
        "experiment": "benchmark",
        "device": device,
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "load_average": load,
        "versions": versions(),
        "flags": dataclasses.asdict(options),
        "measurements": {},
    }
    print(", ".join(f"{k} {v}" for k, v in report["versions"].items()))
    print(f"{report['platform']}, {report['processors']} processors; measured on: {device}")
    if load > 0.5:
        print(f"The machine is busy (load {load:.1f}): trust ratios only.")
    verdicts, expected = [], 0
    for name, subject in {"few_shot": few_shot, "optimizer": learned_optimizer}.items():
        if options.subject in (name, "both"):
            measured, of_subject = subject.benchmark(options)
            report["measurements"].update(measured)
            verdicts += of_subject
            expected += subject.REQUIREMENTS
    print()
    for text, met in verdicts:
        print(f"{'ok' if met else 'NOT met':<9}{text}")
    if len(verdicts) < expected:
        print("The other requirements were not measured.")
    report["requirements"] = [{"text": text, "met": met} for text, met in verdicts]
    if options.output:
        write_json(options.output, report)
    return int(any("error" in result for result in report["measurements"].values()))


def main(arguments, flag_values):
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected arguments: {' '.join(arguments[1:])}")
    return benchmark(options_of(flag_values))


if __name__ == "__main__":
    define_flags(flags.FLAGS)
    app.run(functools.partial(main, flag_values=flags.FLAGS))
