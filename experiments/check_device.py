"""Does TensorFlow see the GPU, does XLA compile there, how fast is it, and are its numbers right?

    python -m experiments.check_device

Two updates are looked at: of the LSTM meta-learner (conv4, 5-way 1-shot, second order) and of a
learned optimizer (an unrolled run on a network of MNIST's size). Their losses and meta-gradients
are compared with those of the CPU without XLA, at the same weights and data, in float32 without
TF32; without a GPU, the CPU with XLA is compared with the CPU without. Then they are timed. The
exit code is 0 if all numbers agree, else 1.
"""

import functools
import statistics

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from experiments import devices, program
from experiments.benchmark import few_shot_contenders, optimizer_contenders
from experiments.benchmark.measure import take_turns
from experiments.benchmark.options import SUBJECTS

HIDDEN = 20  # units of the network that the learned optimizer trains
MODES = {"graph": "without XLA", "xla": "with XLA"}


def define_flags(values):
    options = {"flag_values": values}
    devices.define(values)
    text = "Which update is looked at."
    flags.DEFINE_enum("subject", "both", SUBJECTS, text, **options)
    text = "Inner steps T of the meta-learner."
    flags.DEFINE_integer("steps", 8, text, lower_bound=1, **options)
    text = "Steps of the learned optimizer's unrolled run."
    flags.DEFINE_integer("unroll_steps", 20, text, lower_bound=1, **options)
    flags.DEFINE_integer("updates", 10, "Timed updates of each.", lower_bound=1, **options)
    text = "How far losses and meta-gradients may be off, relative to the CPU's norm."
    flags.DEFINE_float("tolerance", 1e-3, text, lower_bound=0.0, **options)


def few_shot_update(mode, steps):
    """A learner and a function without arguments to the loss of its first update."""
    learner = few_shot_contenders.make_learner(mode, order=2, steps=steps)
    x, y = next(few_shot_contenders.make_episodes(meta_batch=1).as_numpy_iterator())
    x, y = tf.nest.map_structure(tf.constant, (x, y))
    return learner, lambda: learner.compute_loss(x, y, learner(x, training=True))


def optimizer_update(mode, steps):
    """A trainer and a function without arguments to the loss of its first truncation."""
    problem = optimizer_contenders.make_problem(HIDDEN)
    trainer = optimizer_contenders.make_trainer(mode, problem, steps)
    seed = step = tf.constant(0, tf.int64)
    return trainer, lambda: trainer.truncation_loss(seed, step, *trainer.start(seed))[0]


def loss_and_gradient(make, device, mode, weights=None):
    """What one update computes, with the weights it has computed it with.

    Args:
        make: function of a mode to a model and a function to its loss.
        device: such as `"GPU:0"`.
        mode: a key of `MODES`.
        weights: list of arrays; None: the model's own.

    Returns:
        `(loss, gradient [P], weights)`, in NumPy.
    """
    with tf.device(device):
        model, loss_of = make(mode)
        if weights is not None:
            model.set_weights(weights)

    @tf.function(autograph=False, jit_compile=mode == "xla")
    def compute():
        with tf.device(device), tf.GradientTape() as tape:
            loss = loss_of()
            gradient = tape.gradient(loss, [v.value for v in model.trainable_variables])
        return loss, tf.concat([tf.reshape(part, [-1]) for part in gradient], axis=0)

    weights = model.get_weights()
    loss, gradient = compute()
    return loss.numpy(), gradient.numpy(), weights


def difference(found, expected):
    """||found - expected|| / ||expected||."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def agrees(make, device, tolerance):
    """Compares a device, with and without XLA, with the CPU without, and tells; whether all agree.

    Args:
        make: as for `loss_and_gradient`.
        device: `"GPU:0"` or `"CPU:0"`.
        tolerance: see the flag.
    """
    loss, gradient, weights = loss_and_gradient(make, "CPU:0", "graph")
    fine = True
    for mode, words in MODES.items():
        if (device, mode) == ("CPU:0", "graph"):
            continue
        name = f"{device[:3]} {words}"
        try:
            found = loss_and_gradient(make, device, mode, weights)
        except tf.errors.OpError as error:
            print(f"FAILED   {name}: {str(error).splitlines()[0]}", flush=True)
            fine = False
            continue
        errors = difference(found[0], loss), difference(found[1], gradient)
        good = all(error <= tolerance for error in errors)  # What is no number is not.
        fine &= good
        print(
            f"{'ok' if good else 'FAILED':<9}{name}: loss off by {errors[0]:.1e}, meta-gradient by "
            f"{errors[1]:.1e} (at most {tolerance:g})",
            flush=True,
        )
    return fine


def timed(make_update, updates):
    """Tells the milliseconds of an update with and without XLA; they take turns."""
    contenders = {mode: make_update(mode) for mode in MODES}
    seconds, _ = take_turns(contenders, updates)
    for mode, words in MODES.items():
        print(
            f"{'':9}{1e3 * statistics.median(seconds[mode]):.1f} ms an update {words}", flush=True
        )


def main(values):
    name = devices.use(values.device)
    device = "CPU:0" if name == "CPU" else "GPU:0"
    print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}; computing on: {name}")
    if device == "CPU:0":
        there = "left out" if values.device == "cpu" else "none that TensorFlow sees"
        print(f"GPU: {there}. The CPU is checked against itself, with XLA and without.")
    steps, unroll_steps = values.steps, values.unroll_steps
    checks = {
        "few_shot": (
            f"LSTM meta-learner, T={steps}, conv4, 5-way 1-shot, second order",
            functools.partial(few_shot_update, steps=steps),
            lambda mode: few_shot_contenders.make_update(mode, 2, steps, 1)[0],
        ),
        "optimizer": (
            f"learned optimizer, {unroll_steps} steps unrolled",
            functools.partial(optimizer_update, steps=unroll_steps),
            lambda mode: optimizer_contenders.make_update(mode, HIDDEN, unroll_steps),
        ),
    }
    fine = True
    for subject, (title, make, make_update) in checks.items():
        if values.subject not in (subject, "both"):
            continue
        print(f"\n{title}:", flush=True)
        tf.config.experimental.enable_tensor_float_32_execution(False)
        fine &= agrees(make, device, values.tolerance)
        tf.config.experimental.enable_tensor_float_32_execution(True)
        timed(make_update, values.updates)
    print(f"\n{'All checks passed' if fine else 'NOT all checks passed'} on {device[:3]}.")
    return 0 if fine else 1


if __name__ == "__main__":
    program.run(main, define_flags)
