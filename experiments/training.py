"""Training on episodes as the programs have it in common: runtime, checkpoints, TensorBoard."""

import contextlib
import os
import warnings

import keras
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from experiments import files
from meta_keras import callbacks
from meta_keras import plots as pictures


def set_up_runtime(seed, meta_batch, jit_compile=False):
    """Deterministic operations, and threads so that `meta_batch` episodes run side by side."""
    warnings.filterwarnings("ignore", message=".*shuffle=True.*")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    tf.config.threading.set_intra_op_parallelism_threads(max(1, cores // meta_batch))
    tf.config.threading.set_inter_op_parallelism_threads(max(2, cores))
    if not jit_compile:  # Keras refuses XLA beside it, and XLA on a CPU is deterministic
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)


def train(
    folder,
    new_learner,
    make_episodes,
    *,
    epochs,
    interval,
    meta_batch,
    validation_episodes,
    write_settings,
    scope=contextlib.nullcontext,
    picture=pictures.predicted_episode_picture,
):
    """Trains or continues to the end.

    Args:
        folder: the run's folder, a `pathlib.Path`.
        new_learner: function from the number of updates of the run to a compiled learner.
        make_episodes: function `(part, count, start=0, meta_batch=1)` to a dataset of episodes.
        epochs: number of validations.
        interval: training episodes between two of them, a multiple of `meta_batch`.
        meta_batch: episodes an update.
        validation_episodes: episodes of a validation.
        write_settings: function of the folder that tells TensorBoard the flags.
        scope: function that gives the context models are made in.
        picture: function `(learner, batch)` to a picture of an episode for TensorBoard.

    Returns:
        `(learner, state)`: the learner with the best weights, and the last checkpoint's state.
    """
    updates = interval // meta_batch
    with scope():
        resumed = callbacks.Checkpoint.resume(folder / "checkpoints")
        if resumed:
            checkpoint, learner = resumed
            print(f"Continuing after episode {checkpoint.state['epoch'] * interval:,}.")
        else:
            checkpoint = callbacks.Checkpoint(folder / "checkpoints")
            learner = new_learner(updates * epochs)
    done = checkpoint.state["epoch"]
    if done < epochs:
        validation = make_episodes("validation", validation_episodes).cache()
        remaining = make_episodes("train", (epochs - done) * interval, done * interval, meta_batch)
        first_batch = next(iter(make_episodes("train", meta_batch, 0, meta_batch)))
        summaries = callbacks.EpisodeSummaries(
            folder, interval, first_batch, next(iter(make_episodes("validation", 1))), picture
        )
        write_settings(folder)
        learner.fit(
            remaining,
            epochs=epochs,
            initial_epoch=done,
            steps_per_epoch=updates,
            validation_data=validation,
            callbacks=[
                callbacks.StopOnNonFiniteLoss(updates),
                callbacks.Progress(interval, epochs * interval, meta_batch),
                summaries,
                checkpoint,
            ],
            verbose=0,
            shuffle=False,
        )
    return checkpoint.load_best(), checkpoint.state


def write_settings_summary(folder, values, not_settings):
    """The flags as text and as HParams for TensorBoard.

    Args:
        folder: the run's folder.
        values: dict of all flags.
        not_settings: names of those that do not decide the result.
    """
    rows = [f"| {name} | {value} |" for name, value in sorted(values.items())]
    settings = {
        name: value
        for name, value in values.items()
        if name not in not_settings and isinstance(value, (bool, int, float, str))
    }
    with tf.summary.create_file_writer(str(folder / "validation")).as_default(step=0):
        tf.summary.text("flags", "\n".join(["| flag | value |", "|---|---|", *rows]))
        hparams.hparams(settings)


def write_test_summary(folder, step, accuracy, picture):
    """Test accuracy and a test episode for TensorBoard, and the latter as `episode.png`."""
    with tf.summary.create_file_writer(str(folder / "test")).as_default(step=step):
        tf.summary.scalar("accuracy", accuracy)
        tf.summary.image("episode", picture[None])
    tf.io.write_file(str(folder / "episode.png"), tf.io.encode_png(picture))


def test_results(state, interval, accuracy, ci95, values):
    """What `results.json` says of every run on episodes.

    Args:
        state: the last checkpoint's.
        interval: training episodes between two validations.
        accuracy, ci95: mean over the test episodes and half width of its 95 % interval.
        values: dict of all flags.

    Returns:
        A dict for JSON.
    """
    return {
        **{name: values[name] for name in ("rotations", "nway", "seed", "test_episodes")},
        "test_accuracy": accuracy,
        "test_ci95": ci95,
        "train_episodes": state["epoch"] * interval,
        "best_episode": state["best_epoch"] * interval,
        "validation_accuracy": state["best"],
        "wall_seconds": state["seconds"],
        "versions": files.versions(),
        "flags": values,
    }
