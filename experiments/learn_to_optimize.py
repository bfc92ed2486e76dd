"""Learning to learn by gradient descent by gradient descent: trains an optimizer and tests it.

    python -m experiments.learn_to_optimize --problem=quadratic

The same command again continues an interrupted run, and re-evaluates a finished one.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from experiments import files, program
from meta_keras import callbacks, metrics, pictures, problems
from meta_keras.layers import (
    AdamCell,
    CoordinatewiseLSTM,
    GradientDescentCell,
    NesterovCell,
    RMSpropCell,
)
from meta_keras.optimizers import OptimizerTrainer, loss_curves, truncations

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(program)

flags.DEFINE_enum(
    "problem",
    "quadratic",
    ["quadratic", "mnist"],
    "What is optimized: quadratics, or a network with 20 sigmoid units on MNIST.",
)
flags.DEFINE_enum(
    "variant",
    "gaussian",
    ["gaussian", "uniform"],
    "Coefficients of the quadratics: N(0, 1) as in the paper, or U[0, 1) as in its code.",
)
flags.DEFINE_string("data_dir", None, "TFDS folder (mnist); TFDS' own default if not given.")
flags.DEFINE_integer("optimizations", 3000, "Optimizations to learn from.", lower_bound=1)
flags.DEFINE_integer("steps", 100, "Steps of an optimization.", lower_bound=1)
flags.DEFINE_integer("unroll_steps", 20, "Steps of a truncation.", lower_bound=1)
flags.DEFINE_bool("second_order", False, "Differentiate through the gradients the cell sees.")
flags.DEFINE_list("units", ["20", "20"], "Widths of the LSTM layers.")
flags.DEFINE_enum(
    "preprocessing",
    "rnnprop",
    ["none", "log_and_sign", "rnnprop"],
    "What the cell sees of a gradient: itself (the paper on quadratics), its logarithm and "
    "sign (on networks), or gradient and mean over the root mean square (Lv et al. 2017).",
)
flags.DEFINE_float("output_scale", 0.1, "Factor on the cell's output.", lower_bound=0.0)
flags.DEFINE_float(
    "random_scale",
    0.0,
    "s: every coordinate is scaled by exp(U(-s, s)) in training (Lv et al. 2017).",
    lower_bound=0.0,
)
flags.DEFINE_float("learning_rate", 3e-3, "Adam's first rate; cosine decay to 0.", lower_bound=0.0)
flags.DEFINE_float("clip_norm", 1.0, "Global norm of the meta-gradient at most.", lower_bound=0.0)
flags.DEFINE_integer(
    "validation_interval", 100, "Optimizations between validations.", lower_bound=1
)
flags.DEFINE_integer("validation_runs", 20, "Optimizations of a validation.", lower_bound=2)
flags.DEFINE_integer("test_runs", 100, "Fresh optimizations of the test.", lower_bound=2)
flags.DEFINE_integer(
    "test_steps", 200, "Steps shown of a test optimization, at least --steps.", lower_bound=1
)

flags.register_multi_flags_validator(
    ["steps", "unroll_steps"],
    lambda f: f["steps"] % f["unroll_steps"] == 0,
    "--steps must be a multiple of --unroll_steps",
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

NOT_SETTINGS = {"data_dir", "logdir", "eval_only", "resume", "test_runs", "test_steps"}
# Optimizations of these streams never meet: training counts up from seed * 1,000,000,007.
STREAMS = {"validation": -1_000_000, "tuning": -2_000_000, "test": -3_000_000}
BASELINES = {
    "SGD": GradientDescentCell,
    "Nesterov": NesterovCell,
    "RMSprop": RMSpropCell,
    "Adam": AdamCell,
}
RATES = [float(f"{digit}e{exponent}") for exponent in range(-4, 1) for digit in (1, 2, 5)]


def set_up_runtime():
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(FLAGS.seed)


def seeds(stream, count):
    return range(STREAMS[stream], STREAMS[stream] - count, -1)


def new_trainer(problem, updates):
    cell = CoordinatewiseLSTM(
        tuple(int(width) for width in FLAGS.units),
        FLAGS.preprocessing,
        output_scale=FLAGS.output_scale,
    )
    trainer = OptimizerTrainer(
        cell,
        problem,
        unroll_steps=FLAGS.unroll_steps,
        second_order=FLAGS.second_order,
        random_scale=FLAGS.random_scale,
    )
    rate = keras.optimizers.schedules.CosineDecay(FLAGS.learning_rate, updates)
    trainer.compile(keras.optimizers.Adam(rate, global_clipnorm=FLAGS.clip_norm))
    return trainer


class Validation(keras.callbacks.Callback):
    """Puts the mean loss along fresh optimizations into the logs, as `val_loss`."""

    def __init__(self, problem, folder, updates):
        super().__init__()
        self.problem = problem
        self.updates = updates
        self.writer = tf.summary.create_file_writer(str(folder / "validation"))

    def on_epoch_end(self, epoch, logs=None):
        curves = loss_curves(
            self.model.cell, self.problem, seeds("validation", FLAGS.validation_runs), FLAGS.steps
        )
        logs["val_loss"] = float(curves[:, 1:].mean())
        with self.writer.as_default(step=(epoch + 1) * self.updates):
            tf.summary.scalar("meta_loss", logs["val_loss"])
            tf.summary.scalar("final_loss", curves[:, -1].mean())
            tf.summary.scalar("training_meta_loss", logs["loss"])
        self.writer.flush()


def train(folder, problem):
    """Trains or continues to the end; returns the best cell and the last checkpoint's state."""
    interval = min(FLAGS.validation_interval, FLAGS.optimizations)
    epochs = FLAGS.optimizations // interval
    updates = interval * FLAGS.steps // FLAGS.unroll_steps
    resumed = callbacks.Checkpoint.resume(folder / "checkpoints", monitor="val_loss")
    if resumed:
        checkpoint, trainer = resumed
        trainer.problem = problem
        print(f"Continuing after optimization {checkpoint.state['epoch'] * interval:,}.")
    else:
        checkpoint = callbacks.Checkpoint(folder / "checkpoints", monitor="val_loss")
        trainer = new_trainer(problem, updates * epochs)
    done = checkpoint.state["epoch"]
    if done < epochs:
        trainer.fit(
            truncations(
                (epochs - done) * updates,
                FLAGS.steps,
                FLAGS.unroll_steps,
                FLAGS.seed,
                start=done * updates,
            ),
            epochs=epochs,
            initial_epoch=done,
            steps_per_epoch=updates,
            callbacks=[
                Validation(problem, folder, updates),
                callbacks.StopOnNonFiniteLoss(updates),
                callbacks.Progress(updates, epochs * updates, 1, unit="update"),
                checkpoint,
            ],
            verbose=0,
            shuffle=False,
        )
    return checkpoint.load_best().cell, checkpoint.state


def tuned(make_cell, problem):
    """The rate with the best mean final loss of a grid, and the grid with those losses.

    The best three of `--validation_runs` optimizations are tried on as many as the test has, so
    that a rate at which few runs diverge does not win by luck.
    """

    def final_losses(rates, count):
        runs = seeds("tuning", count)
        return {
            rate: float(loss_curves(make_cell(rate), problem, runs, FLAGS.steps)[:, -1].mean())
            for rate in rates
        }

    def best(grid):
        return sorted((rate for rate in grid if np.isfinite(grid[rate])), key=grid.get)

    grid = final_losses(RATES, FLAGS.validation_runs)
    finalists = final_losses(best(grid)[:3], FLAGS.test_runs)
    return best(finalists)[0], {**grid, **finalists}


def compare(learned, problem):
    """`results.json`'s table of optimizers: the same starts and minibatches for all."""
    runs = seeds("test", FLAGS.test_runs)
    contenders = {"learned": (learned, None, None)}
    for name, make_cell in BASELINES.items():
        rate, grid = tuned(make_cell, problem)
        contenders[name] = (make_cell(rate), rate, grid)
    table = {}
    print(f"\n{'optimizer':<10}{'rate':>8}{f'loss after {FLAGS.steps} steps':>28}")
    for name, (cell, rate, grid) in contenders.items():
        curves = loss_curves(cell, problem, runs, FLAGS.test_steps)
        mean, ci95 = metrics.mean_and_ci95(curves[:, FLAGS.steps])
        table[name] = {
            "learning_rate": rate,
            "final_loss_mean": mean,
            "final_loss_ci95": ci95,
            "curve": curves.mean(axis=0).tolist(),
            "curve_ci95": (1.96 * curves.std(axis=0, ddof=1) / np.sqrt(len(curves))).tolist(),
            "grid": grid,
        }
        print(f"{name:<10}{rate or '':>8}{mean:>18.5g} +- {ci95:.2g}", flush=True)
    return table


def main():
    set_up_runtime()
    logdir = FLAGS.logdir or f"runs/optimizer-{FLAGS.problem}"
    values = program.module_flags(__name__)
    settings = {name: value for name, value in values.items() if name not in NOT_SETTINGS}
    if FLAGS.eval_only and not program.saved_settings(logdir):
        raise program.UsageError(f"--eval_only: there is no trained optimizer in {logdir}.")
    if FLAGS.problem == "mnist":
        problem = problems.mnist_mlp(FLAGS.data_dir)
    else:
        problem = problems.Quadratic(FLAGS.variant)
    folder = program.open_logdir(logdir, settings, FLAGS.resume)
    if FLAGS.eval_only:
        checkpoint, _ = callbacks.Checkpoint.resume(folder / "checkpoints")
        cell, state = checkpoint.load_best().cell, checkpoint.state
    else:
        print(f"Learning to optimize {FLAGS.problem}; run folder {folder}")
        cell, state = train(folder, problem)
    print(f"Testing on {FLAGS.test_runs} fresh optimizations; every baseline's rate is tuned ...")
    table = compare(cell, problem)
    figure = pictures.loss_curves_figure(table, FLAGS.steps)
    for ending in ("png", "svg"):
        figure.savefig(folder / f"curves.{ending}", dpi=150)
    files.write_json(
        folder / "results.json",
        {
            "experiment": "learn_to_optimize",
            "method": "coordinatewise_lstm",
            "problem": FLAGS.problem,
            "steps": FLAGS.steps,
            "runs": FLAGS.test_runs,
            "optimizers": table,
            "seed": FLAGS.seed,
            "train_optimizations": state["epoch"]
            * min(FLAGS.validation_interval, FLAGS.optimizations),
            "wall_seconds": state["seconds"],
            "versions": files.versions(),
            "flags": values,
        },
    )
    print(f"Results: {folder / 'results.json'}; the curves: {folder / 'curves.png'}")


if __name__ == "__main__":
    program.run(main)
