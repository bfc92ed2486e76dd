"""Learning to learn by gradient descent by gradient descent: trains an optimizer and tests it.

    python -m experiments.learn_to_optimize --problem=quadratic

The same command again continues an interrupted run, and re-evaluates a finished one. A finished
run leaves the trained optimizer in its folder as the preset `optimizer`, for
`LearnedOptimizer.from_preset` and for `--eval_only --preset=`.
"""

import json
import os
import pathlib
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf
from absl import flags

from experiments import (
    files,
    optimizer_comparison,
    optimizer_problems,
    optimizer_training,
    program,
)
from experiments.optimizer_training import horizons, new_trainer, training_problem
from meta_keras import LearnedOptimizer, callbacks, pictures
from meta_keras.optimizers import (
    BASELINES,
    curve_table,
    seeds,
    truncations,
    tuned_baselines,
    validation_optimizations,
)
from meta_keras.training.optimizer_summaries import OptimizationSummaries

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(program)
flags.adopt_module_key_flags(optimizer_problems)
flags.adopt_module_key_flags(optimizer_training)
flags.adopt_module_key_flags(optimizer_comparison)

flags.DEFINE_string("preset", None, "With --eval_only: test this preset (a name or a folder).")
flags.register_multi_flags_validator(
    ["steps", "test_steps"],
    lambda f: f["test_steps"] >= f["steps"],
    "--test_steps must be at least --steps",
)

NOT_SETTINGS = {
    "data_dir", "manual_dir", "logdir", "eval_only", "resume", "test_runs", "test_steps",
    "generalize", "generalize_runs",
}  # fmt: skip


def set_up_runtime():
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(FLAGS.seed)


def interval_updates():
    """`(optimizations, updates)` between two validations; Keras' epoch."""
    interval = min(FLAGS.validation_interval, FLAGS.optimizations)
    return interval, interval * FLAGS.steps // FLAGS.unroll_steps


def progress_of(epochs):
    """What `epochs` validations' worth of training was: `train_updates`, `train_optimizations`.

    A curriculum's optimizations are not of `--steps`: only its updates are counted.
    """
    interval, updates = interval_updates()
    return {
        "train_updates": epochs * updates,
        "train_optimizations": None if FLAGS.curriculum else epochs * interval,
    }


def train(folder, problems, baselines):
    """Trains or continues to the end; returns the best cell and the last checkpoint's state."""
    interval, updates = interval_updates()
    epochs = FLAGS.optimizations // interval
    resumed = callbacks.Checkpoint.resume(folder / "checkpoints", monitor="val_loss")
    if resumed:
        checkpoint, trainer = resumed
        trainer.problem = training_problem(problems.train)
        trainer.validation_problem = problems.validation
        trainer.horizon = max(horizons())  # older checkpoints have none
        done = progress_of(checkpoint.state["epoch"])
        unit = "update" if FLAGS.curriculum else "optimization"
        print(f"Continuing after {unit} {done[f'train_{unit}s']:,}.")
    else:
        checkpoint = callbacks.Checkpoint(folder / "checkpoints", monitor="val_loss")
        trainer = new_trainer(
            training_problem(problems.train), problems.validation, updates * epochs
        )
    done = checkpoint.state["epoch"]
    if done < epochs:
        runs = seeds("validation", FLAGS.validation_runs)
        trainer.fit(
            truncations(
                (epochs - done) * updates,
                horizons(),
                FLAGS.unroll_steps,
                FLAGS.seed,
                start=done * updates,
                total=epochs * updates,
            ),
            epochs=epochs,
            initial_epoch=done,
            steps_per_epoch=updates,
            validation_data=validation_optimizations(runs),
            callbacks=[
                OptimizationSummaries(
                    folder,
                    problems.validation,
                    runs,
                    updates,
                    {name: BASELINES[name](r["learning_rate"]) for name, r in baselines.items()},
                    lambda table, horizon: pictures.figure_pixels(
                        pictures.loss_curves_figure(table, horizon)
                    ),
                ),
                callbacks.StopOnNonFiniteLoss(updates),
                callbacks.Progress(updates, epochs * updates, 1, unit="update"),
                checkpoint,
            ],
            verbose=0,
            shuffle=False,
        )
    return checkpoint.load_best().cell, checkpoint.state


def baselines_of(folder, problem):
    """The baselines with their tuned rates; tuned once for a run's folder.

    A folder without a checkpoint may be used for another problem: all that decides the rates is
    part of the key.
    """
    file = folder / "baselines.json"
    decisive = ("problem", "variant", "steps", "seed", "validation_runs", "test_runs")
    key = {name: FLAGS[name].value for name in decisive}
    if file.exists():
        saved = json.loads(file.read_text())
        if {name: saved.get(name) for name in key} == key:
            return saved["baselines"]
    print("Tuning the learning rate of every baseline ...", flush=True)
    found = tuned_baselines(problem, FLAGS.steps, FLAGS.validation_runs, FLAGS.test_runs)
    files.write_json(file, {**key, "baselines": found})
    return found


def default_logdir():
    name = f"optimizer-{FLAGS.problem}"
    if FLAGS.preset:
        name += f"-{pathlib.Path(FLAGS.preset).name}"
    return f"runs/{name}"


def main():
    optimizer_problems.set_defaults()
    set_up_runtime()
    logdir = FLAGS.logdir or default_logdir()
    if FLAGS.preset and not FLAGS.eval_only:
        raise program.UsageError(f"--preset={FLAGS.preset} can only be tested: add --eval_only.")
    if FLAGS.eval_only and not FLAGS.preset and not program.saved_settings(logdir):
        raise program.UsageError(f"--eval_only: there is no trained optimizer in {logdir}.")
    if FLAGS.generalize and FLAGS.problem != "mnist":
        raise program.UsageError(f"--generalize needs --problem=mnist, not {FLAGS.problem}.")
    if FLAGS.gradient_rate and FLAGS.preprocessing not in ("rnnprop", "combined"):
        raise program.UsageError(
            f"--gradient_rate={FLAGS.gradient_rate:g} needs --preprocessing=rnnprop or combined, "
            f"not {FLAGS.preprocessing}; --gradient_rate=0 does without."
        )
    if FLAGS.grouped and FLAGS.problem not in ("omniglot", "glyphs"):
        raise program.UsageError(f"--grouped: --problem={FLAGS.problem} has no convolutions.")
    preset = LearnedOptimizer.from_preset(FLAGS.preset) if FLAGS.preset else None
    values = program.module_flags(__name__)
    settings = {name: value for name, value in values.items() if name not in NOT_SETTINGS}
    problems = optimizer_problems.load()
    folder = program.open_logdir(logdir, settings, FLAGS.resume)
    baselines = baselines_of(folder, problems.validation)
    state = callbacks.Checkpoint.NEW
    if preset:
        cell = preset.cell
    elif FLAGS.eval_only:
        checkpoint, _ = callbacks.Checkpoint.resume(folder / "checkpoints")
        cell, state = checkpoint.load_best().cell, checkpoint.state
    else:
        print(f"Learning to optimize {FLAGS.problem}; run folder {folder}")
        cell, state = train(folder, problems, baselines)
    print(f"Testing on {FLAGS.test_runs} fresh optimizations ...")
    runs = seeds("test", FLAGS.test_runs)
    table = curve_table(cell, baselines, problems.test, runs, FLAGS.steps, FLAGS.test_steps)
    optimizer_comparison.print_table(table, FLAGS.test_steps, [FLAGS.steps])
    save_figure(folder / "curves", pictures.loss_curves_figure(table, max(horizons())))
    transfer = None
    if FLAGS.generalize:
        transfer = optimizer_comparison.generalization(cell)
        save_figure(folder / "generalization", pictures.loss_curves_panels(transfer))
    results = {
        "experiment": "learn_to_optimize",
        "method": "coordinatewise_lstm",
        "problem": FLAGS.problem,
        "steps": FLAGS.steps,
        "tuned_for_steps": FLAGS.steps,
        "runs": FLAGS.test_runs,
        "optimizers": table,
        "generalization": transfer,
        "seed": FLAGS.seed,
        **progress_of(state["epoch"]),
        "wall_seconds": state["seconds"],
        "preset": FLAGS.preset,
        "versions": files.versions(),
        "flags": values,
    }
    files.write_json(folder / "results.json", results)
    print(f"Results: {folder / 'results.json'}; the curves: {folder / 'curves.png'}")
    if not preset:
        path = save_preset(folder, cell, card_of(results, settings))
        print(f"The optimizer, for LearnedOptimizer.from_preset: {path}")


def card_of(results, settings):
    """What a preset's card keeps of a run's results: no curves, and the flags that decide."""
    names = ("method", "problem", "steps", "runs", "train_updates", "train_optimizations", "seed")
    figures = ("learning_rate", "final_loss_mean", "final_loss_ci95")
    return {
        **{name: results[name] for name in (*names, "versions")},
        "optimizers": {
            name: {figure: row[figure] for figure in figures}
            for name, row in results["optimizers"].items()
        },
        "flags": settings,
    }


def save_preset(folder, cell, card):
    """Writes the preset `optimizer` of a run, in place of one of an earlier evaluation.

    Returns:
        Its folder. At any moment it is whole or, for as long as renaming takes, not there.
    """
    preset, new, old = (folder / f"optimizer{ending}" for ending in ("", ".new", ".old"))
    for rest in (new, old):
        shutil.rmtree(rest, ignore_errors=True)
    LearnedOptimizer(cell).save_to_preset(new, card)
    if preset.exists():
        preset.rename(old)
    new.rename(preset)
    shutil.rmtree(old, ignore_errors=True)
    return preset


def save_figure(stem, figure):
    for ending in ("png", "svg"):
        figure.savefig(stem.with_suffix(f".{ending}"), dpi=150)


if __name__ == "__main__":
    program.run(main)
