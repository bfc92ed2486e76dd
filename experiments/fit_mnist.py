"""A learned optimizer in plain `model.fit`, next to Adam: how many steps does Adam need more?

    python -m experiments.fit_mnist --preset=mnist_mlp

Trains the MNIST network of Andrychowicz et al. 2016 (20 sigmoid units) and measures the loss on
10,000 training pictures after every 5 steps, mean over several initial values. Adam's rate is the
one of a grid that reaches the learned optimizer's loss after 100 steps first.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from experiments import files, program
from meta_keras import LearnedOptimizer, pictures, problems

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(program)
flags.DEFINE_string("preset", "mnist_mlp", "The learned optimizer, a name or a folder.")
flags.DEFINE_string("data_dir", None, "TFDS folder; TFDS' own default if not given.")
flags.DEFINE_integer("runs", 5, "Fresh initial values for every optimizer.", lower_bound=2)
flags.DEFINE_integer("steps", 300, "Steps of a run, a multiple of 5.", lower_bound=100)
flags.register_validator("steps", lambda steps: steps % 5 == 0, "--steps must be a multiple of 5")

RATES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1)
EVERY, TARGET_STEPS, BATCH, MEASURED = 5, 100, 128, 10_000


def curves(make_optimizer, x, y):
    """Losses after 0, 5, 10 ... steps of `--runs` runs: `[runs, steps / 5 + 1]`."""
    losses = []
    for seed in range(FLAGS.runs):
        keras.utils.set_random_seed(seed)
        normal = {n: keras.initializers.RandomNormal(stddev=0.01, seed=seed) for n in (1, 2)}
        layers = [keras.layers.Dense(20, "sigmoid", kernel_initializer=normal[1])]
        layers.append(keras.layers.Dense(10, kernel_initializer=normal[2]))
        model = keras.Sequential([keras.Input((784,)), *layers])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(make_optimizer(), loss)
        measured = {"x": x[:MEASURED], "y": y[:MEASURED], "batch_size": MEASURED, "verbose": 0}
        first = model.evaluate(**measured)
        data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x), seed=seed)
        history = model.fit(
            data.repeat().batch(BATCH).prefetch(4),
            steps_per_epoch=EVERY,
            epochs=FLAGS.steps // EVERY,
            validation_data=(measured["x"], measured["y"]),
            validation_batch_size=MEASURED,
            shuffle=False,
            verbose=0,
        )
        losses.append([first, *history.history["val_loss"]])
    return np.array(losses)


def _curve(losses):
    """Mean and band of measured losses, step by step, as `pictures.loss_curves_figure` has them."""
    measured, steps = np.arange(0, FLAGS.steps + 1, EVERY), np.arange(FLAGS.steps + 1)
    band = 1.96 * losses.std(axis=0, ddof=1) / np.sqrt(len(losses))
    return {
        "curve": np.interp(steps, measured, losses.mean(axis=0)).tolist(),
        "curve_ci95": np.interp(steps, measured, band).tolist(),
    }


def main():
    learned = LearnedOptimizer.from_preset(FLAGS.preset)
    folder = program.writable_folder("logdir", FLAGS.logdir or "runs/fit_mnist")
    problem = problems.mnist_mlp(FLAGS.data_dir)
    x, y = problem.x.numpy(), problem.y.numpy()
    results = {"learned": curves(lambda: LearnedOptimizer(learned.cell), x, y)}
    target = results["learned"].mean(axis=0)[TARGET_STEPS // EVERY]
    print(f"learned: loss {target:.4f} after {TARGET_STEPS} steps")
    needed = {}
    for rate in RATES:
        name = f"Adam {rate:g}"
        results[name] = curves(lambda rate=rate: keras.optimizers.Adam(rate), x, y)
        reached = np.flatnonzero(results[name].mean(axis=0) <= target)
        needed[name] = int(reached[0]) * EVERY if len(reached) else None
        steps = needed[name] or f"more than {FLAGS.steps}"
        print(f"{name}: {steps} steps to that loss", flush=True)
    best = min(needed, key=lambda name: needed[name] or np.inf)
    table = {name: _curve(results[name]) for name in ("learned", best)}
    figure = pictures.loss_curves_figure(table)
    figure.savefig(folder / "curves.png", dpi=150)
    files.write_json(
        folder / "results.json",
        {
            "experiment": "fit_mnist",
            "preset": FLAGS.preset,
            "runs": FLAGS.runs,
            "target_loss": float(target),
            "adam_steps": needed,
            "optimizers": table,
            "versions": files.versions(),
        },
    )
    print(f"Adam at its best ({best}) needs {needed[best]} steps. Curves: {folder / 'curves.png'}")


if __name__ == "__main__":
    program.run(main)
