"""A learned optimizer in plain `model.fit`, next to Adam: how many steps does Adam need more?

    python -m experiments.fit_mnist --preset=mnist_mlp

Trains the MNIST network of Andrychowicz et al. 2016 (20 sigmoid units) and measures the loss on
10,000 training pictures after every 5 steps, mean over several initial values. Adam's rate is the
one of a grid that reaches the learned optimizer's loss after 100 steps first, or, if none does,
ends with the lowest loss.
"""

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from experiments import program
from meta_keras import LearnedOptimizer, files, metrics, plots, problems
from meta_keras.errors import NonFiniteLoss

RATES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1)
EVERY, TARGET_STEPS, BATCH, MEASURED = 5, 100, 128, 10_000


def define_flags(values):
    options = {"flag_values": values}
    flags.DEFINE_string("logdir", "runs/fit_mnist", "Folder of the results.", **options)
    flags.DEFINE_string("preset", "mnist_mlp", "The optimizer, a name or a folder.", **options)
    flags.DEFINE_string("data_dir", None, "TFDS folder; TFDS' own if not given.", **options)
    text = "Fresh initial values for every optimizer."
    flags.DEFINE_integer("runs", 5, text, lower_bound=2, **options)
    text = "Steps of a run, a multiple of 5."
    flags.DEFINE_integer("steps", 300, text, lower_bound=100, **options)
    flags.register_validator(
        "steps", lambda steps: steps % EVERY == 0, "--steps must be a multiple of 5", **options
    )
    text = "Seed of the first run; the others count up."
    flags.DEFINE_integer("seed", 0, text, lower_bound=0, upper_bound=2**32 - 1, **options)


def curves(make_optimizer, x, y, seeds, steps):
    """Losses after 0, 5, 10 ... steps of a run for every seed: `[seeds, steps / 5 + 1]`."""
    losses = []
    for seed in seeds:
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
            epochs=steps // EVERY,
            validation_data=(measured["x"], measured["y"]),
            validation_batch_size=MEASURED,
            shuffle=False,
            verbose=0,
        )
        losses.append([first, *history.history["val_loss"]])
    return np.array(losses)


def target_loss(losses):
    """Mean of `curves` after `TARGET_STEPS` steps.

    Raises:
        NonFiniteLoss: it is not a number that others could reach.
    """
    target = float(losses.mean(axis=0)[TARGET_STEPS // EVERY])
    if not np.isfinite(target):
        raise NonFiniteLoss(
            f"The learned optimizer diverges: its mean loss after {TARGET_STEPS} steps is {target}."
        )
    return target


def steps_to(target, losses):
    """The steps after which the mean of `curves` is at most `target`; None: it never is."""
    reached = np.flatnonzero(losses.mean(axis=0) <= target)
    return int(reached[0]) * EVERY if len(reached) else None


def best_of(needed, results):
    """The name that needs the fewest steps; among equals, the one with the lowest last loss.

    Args:
        needed: dict from a name to what `steps_to` gives.
        results: dict from a name to its `curves`.
    """

    def order(name):
        last = results[name].mean(axis=0)[-1]
        steps = np.inf if needed[name] is None else needed[name]
        return steps, last if np.isfinite(last) else np.inf

    return min(needed, key=order)


def _curve(losses):
    """Mean and band of measured losses, step by step, as `plots.loss_curves_figure` has them."""
    last = EVERY * (losses.shape[1] - 1)
    measured, steps = np.arange(0, last + 1, EVERY), np.arange(last + 1)
    mean, band = metrics.mean_and_ci95(losses)
    return {
        "curve": np.interp(steps, measured, mean).tolist(),
        "curve_ci95": np.interp(steps, measured, band).tolist(),
    }


def main(values):
    learned = LearnedOptimizer.from_preset(values.preset)
    folder = files.writable_folder("logdir", values.logdir)
    problem = problems.mnist_mlp(values.data_dir)
    x, y = problem.x.numpy(), problem.y.numpy()
    seeds = range(values.seed, values.seed + values.runs)

    def measure(make_optimizer):
        return curves(make_optimizer, x, y, seeds, values.steps)

    def in_words(steps):
        return f"more than {values.steps}" if steps is None else steps

    losses = {"learned": measure(lambda: LearnedOptimizer(learned.cell))}
    target = target_loss(losses["learned"])
    print(f"learned: loss {target:.4f} after {TARGET_STEPS} steps")
    needed = {}
    for rate in RATES:
        name = f"Adam {rate:g}"
        losses[name] = measure(lambda rate=rate: keras.optimizers.Adam(rate))
        needed[name] = steps_to(target, losses[name])
        print(f"{name}: {in_words(needed[name])} steps to that loss", flush=True)
    best = best_of(needed, losses)
    table = {name: _curve(losses[name]) for name in ("learned", best)}
    plots.save_figure(plots.loss_curves_figure(table), folder / "curves.png")
    results = {
        "experiment": "fit_mnist",
        "preset": values.preset,
        "runs": values.runs,
        "seed": values.seed,
        "target_loss": target,
        "adam_steps": needed,
        "optimizers": table,
        "versions": files.versions(),
    }
    files.write_json(folder / "results.json", results)
    steps = in_words(needed[best])
    print(f"Adam at its best ({best}) needs {steps} steps. Curves: {folder / 'curves.png'}")
    return results


if __name__ == "__main__":
    program.run(main, define_flags)
