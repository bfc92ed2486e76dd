"""Learning to learn by gradient descent by gradient descent: trains an optimizer and tests it.

    python -m experiments.learn_to_optimize --problem=quadratic

The same command again continues an interrupted run, and re-evaluates a finished one.
"""

import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf
from absl import flags

from experiments import files, optimizer_comparison, optimizer_problems, program
from experiments.optimizer_comparison import seeds
from meta_keras import LearnedOptimizer, callbacks, pictures
from meta_keras.layers import CoordinatewiseLSTM, GroupedCell, is_convolution_kernel
from meta_keras.optimizers import OptimizationSummaries, OptimizerTrainer, truncations

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(program)
flags.adopt_module_key_flags(optimizer_problems)
flags.adopt_module_key_flags(optimizer_comparison)

flags.DEFINE_string("preset", None, "With --eval_only: test this preset (a name or a folder).")
flags.DEFINE_integer("optimizations", 1500, "Optimizations to learn from.", lower_bound=1)
flags.DEFINE_integer(
    "steps",
    100,
    "Steps of an optimization, after which optimizers are compared.",
    lower_bound=1,
)
flags.DEFINE_list(
    "curriculum",
    None,
    "Growing numbers of steps, such as 50,100,200: each is trained on for an equal share of the "
    "updates that --optimizations of --steps would be (Chen et al. 2020).",
)
flags.DEFINE_integer("unroll_steps", 20, "Steps of a truncation.", lower_bound=1)
flags.DEFINE_bool("second_order", False, "Differentiate through the gradients the cell sees.")
flags.DEFINE_bool("recompute", False, "Gradient checkpointing, for a large --unroll_steps.")
flags.DEFINE_list("units", ["20", "20"], "Widths of the LSTM layers.")
flags.DEFINE_bool("grouped", False, "A cell of its own for the kernels of convolutions.")
flags.DEFINE_enum(
    "preprocessing",
    "combined",
    ["none", "log_and_sign", "rnnprop", "combined"],
    "What the cell sees of a gradient: itself (the paper on quadratics), its logarithm and "
    "sign (on networks), gradient and mean over the root mean square (Lv et al. 2017), or both "
    "of the latter.",
)
flags.DEFINE_float("output_scale", 0.1, "Factor on the cell's output.", lower_bound=0.0)
flags.DEFINE_float(
    "gradient_rate",
    0.0,
    "Adds a gated step along the gradient itself that starts with this learning rate, see "
    "`CoordinatewiseLSTM`; 0: none, as in the paper.",
    lower_bound=0.0,
)
flags.DEFINE_float(
    "random_scale",
    0.0,
    "s: every coordinate is scaled by exp(U(-s, s)) in training (Lv et al. 2017).",
    lower_bound=0.0,
)
flags.DEFINE_enum(
    "loss_weights",
    "equal",
    ["equal", "linear"],
    "Weights w_t of the meta-loss: all 1 as in the paper, or growing with t.",
)
flags.DEFINE_float("learning_rate", 3e-3, "Adam's first rate; cosine decay to 0.", lower_bound=0.0)
flags.DEFINE_float("clip_norm", 1.0, "Global norm of the meta-gradient at most.", lower_bound=0.0)
flags.DEFINE_integer(
    "validation_interval", 100, "Optimizations between validations.", lower_bound=1
)

flags.register_multi_flags_validator(
    ["steps", "unroll_steps"],
    lambda f: f["steps"] % f["unroll_steps"] == 0,
    "--steps must be a multiple of --unroll_steps",
)
flags.register_multi_flags_validator(
    ["curriculum", "unroll_steps"],
    lambda f: all(
        h.isdecimal() and int(h) > 0 and int(h) % f["unroll_steps"] == 0
        for h in f["curriculum"] or []
    ),
    "--curriculum must be positive multiples of --unroll_steps such as 100,200",
)
flags.register_multi_flags_validator(
    ["steps", "test_steps"],
    lambda f: f["test_steps"] >= f["steps"],
    "--test_steps must be at least --steps",
)
flags.register_multi_flags_validator(
    ["optimizations", "validation_interval"],
    lambda f: f["optimizations"] % min(f["validation_interval"], f["optimizations"]) == 0,
    "--optimizations must be a multiple of --validation_interval (or below it)",
)
flags.register_validator(
    "units",
    lambda units: bool(units) and all(u.isdecimal() and int(u) > 0 for u in units),
    "must be a list of positive integers such as 20,20",
)
for _name in ("learning_rate", "clip_norm", "output_scale"):
    flags.register_validator(_name, lambda v: v > 0, "must be positive")

NOT_SETTINGS = {
    "data_dir", "manual_dir", "logdir", "eval_only", "resume", "test_runs", "test_steps",
    "generalize", "generalize_runs",
}  # fmt: skip


def set_up_runtime():
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(FLAGS.seed)


def horizons():
    """Steps of an optimization in training, one after the other."""
    return [int(horizon) for horizon in FLAGS.curriculum or [FLAGS.steps]]


def linear_weights(steps):
    """w_t in proportion to t, 1 on average."""
    return [2.0 * t / (steps + 1) for t in range(1, steps + 1)]


def new_trainer(problem, updates):
    def new_cell():
        return CoordinatewiseLSTM(
            tuple(int(width) for width in FLAGS.units),
            FLAGS.preprocessing,
            output_scale=FLAGS.output_scale,
            gradient_rate=FLAGS.gradient_rate or None,
        )

    cell = new_cell()
    if FLAGS.grouped:
        cell = GroupedCell([new_cell(), cell], [is_convolution_kernel])
    longest = max(horizons())
    trainer = OptimizerTrainer(
        cell,
        problem,
        unroll_steps=FLAGS.unroll_steps,
        second_order=FLAGS.second_order,
        random_scale=FLAGS.random_scale,
        loss_weights=linear_weights(longest) if FLAGS.loss_weights == "linear" else None,
        recompute=FLAGS.recompute,
    )
    rate = keras.optimizers.schedules.CosineDecay(FLAGS.learning_rate, updates)
    trainer.compile(keras.optimizers.Adam(rate, global_clipnorm=FLAGS.clip_norm))
    return trainer


def interval_updates():
    """`(optimizations, updates)` between two validations; Keras' epoch."""
    interval = min(FLAGS.validation_interval, FLAGS.optimizations)
    return interval, interval * FLAGS.steps // FLAGS.unroll_steps


def train(folder, problems, baselines):
    """Trains or continues to the end; returns the best cell and the last checkpoint's state."""
    interval, updates = interval_updates()
    epochs = FLAGS.optimizations // interval
    resumed = callbacks.Checkpoint.resume(folder / "checkpoints", monitor="val_loss")
    if resumed:
        checkpoint, trainer = resumed
        trainer.problem = problems.train
        print(f"Continuing after optimization {checkpoint.state['epoch'] * interval:,}.")
    else:
        checkpoint = callbacks.Checkpoint(folder / "checkpoints", monitor="val_loss")
        trainer = new_trainer(problems.train, updates * epochs)
    done = checkpoint.state["epoch"]
    if done < epochs:
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
            callbacks=[
                OptimizationSummaries(
                    folder,
                    problems.validation,
                    seeds("validation", FLAGS.validation_runs),
                    max(horizons()),
                    updates,
                    {
                        name: optimizer_comparison.BASELINES[name](row["learning_rate"])
                        for name, row in baselines.items()
                    },
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
    """The baselines with their tuned rates; tuned once for a run's folder."""
    file = folder / "baselines.json"
    key = {"validation_runs": FLAGS.validation_runs, "test_runs": FLAGS.test_runs}
    if file.exists():
        saved = json.loads(file.read_text())
        if {name: saved.get(name) for name in key} == key:
            return saved["baselines"]
    print("Tuning the learning rate of every baseline ...", flush=True)
    found = optimizer_comparison.tuned_baselines(problem, FLAGS.steps, FLAGS.test_runs)
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
    table = optimizer_comparison.curve_table(
        cell, baselines, problems.test, runs, FLAGS.steps, FLAGS.test_steps
    )
    optimizer_comparison.print_table(table, FLAGS.test_steps, [FLAGS.steps])
    save_figure(folder / "curves", pictures.loss_curves_figure(table, max(horizons())))
    transfer = None
    if FLAGS.generalize:
        transfer = optimizer_comparison.generalization(cell)
        save_figure(folder / "generalization", pictures.loss_curves_panels(transfer))
    interval, _ = interval_updates()
    files.write_json(
        folder / "results.json",
        {
            "experiment": "learn_to_optimize",
            "method": "coordinatewise_lstm",
            "problem": FLAGS.problem,
            "steps": FLAGS.steps,
            "runs": FLAGS.test_runs,
            "optimizers": table,
            "generalization": transfer,
            "seed": FLAGS.seed,
            "train_optimizations": state["epoch"] * interval,
            "wall_seconds": state["seconds"],
            "preset": FLAGS.preset,
            "versions": files.versions(),
            "flags": values,
        },
    )
    print(f"Results: {folder / 'results.json'}; the curves: {folder / 'curves.png'}")


def save_figure(stem, figure):
    for ending in ("png", "svg"):
        figure.savefig(stem.with_suffix(f".{ending}"), dpi=150)


if __name__ == "__main__":
    program.run(main)
