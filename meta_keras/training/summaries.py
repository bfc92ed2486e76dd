"""What TensorBoard shows of a training on episodes."""

import pathlib
import time

import keras
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from meta_keras import files
from meta_keras.training.tables import table_cell


class Summaries(keras.callbacks.Callback):
    """A callback that writes to the folders `train` and `validation` of a run, its `writers`."""

    def __init__(self, logdir):
        super().__init__()
        self.writers = {
            name: tf.summary.create_file_writer(str(pathlib.Path(logdir) / name))
            for name in ("train", "validation")
        }

    def flush(self):
        for writer in self.writers.values():
            writer.flush()


class EpisodeSummaries(Summaries):
    """What TensorBoard shows of a run; the step is the number of training episodes seen.

    Loss and accuracy of training and validation, episodes/s, and for two fixed episodes (one of
    training, one of validation): the norm of the meta-gradient; the support loss before every
    inner step; the query loss before and after adaptation; the cell's gates over coordinates for
    every step; a picture of the validation episode with the learner's predictions.

    Args:
        logdir: path; events go to its folders `train` and `validation`.
        episodes_per_epoch: episodes between two validations.
        train_batch, validation_batch: `(x, y)` batches.
        picture: function `(learner, batch)` to a picture of the batch's first episode, uint8
            `[height, width, 3]`.
    """

    def __init__(
        self,
        logdir,
        episodes_per_epoch,
        train_batch,
        validation_batch,
        picture,
    ):
        super().__init__(logdir)
        self.picture = picture
        self.episodes_per_epoch = episodes_per_epoch
        self.train_batch = train_batch
        self.validation_batch = validation_batch

    def on_epoch_begin(self, epoch, logs=None):
        self._began, self._updates = time.monotonic(), 0

    def on_train_batch_end(self, batch, logs=None):
        self._updates += 1

    def on_test_begin(self, logs=None):
        self._trained = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        step = (epoch + 1) * self.episodes_per_epoch
        seconds = self._trained - self._began
        with self.writers["train"].as_default(step=step):
            for name, value in logs.items():
                if not name.startswith("val_"):
                    tf.summary.scalar(name, value)
            if self._updates:  # All but none, where a run was stopped in its validation.
                episodes = self._updates * self.train_batch[1].shape[0]
                tf.summary.scalar("episodes_per_second", episodes / seconds)
            gradient = self.model.meta_gradient(*self.train_batch)
            tf.summary.scalar("gradient_norm", tf.linalg.global_norm(gradient))
        with self.writers["validation"].as_default(step=step):
            for name, value in logs.items():
                if name.startswith("val_"):
                    tf.summary.scalar(name.removeprefix("val_"), value)
            self._write_adaptation()
            picture = self.picture(self.model, self.validation_batch)
            tf.summary.image("episode", picture[None])
        self.flush()

    def _write_adaptation(self):
        scalars, histograms = self.model.adaptation_summaries(*self.validation_batch)
        for tag, value in scalars.items():
            tf.summary.scalar(tag, value)
        for tag, values in histograms.items():
            tf.summary.histogram(tag, values)


def write_settings(folder, values, deciding):
    """All settings as text and those that decide the result as HParams.

    Args:
        folder: the run's folder, a `pathlib.Path`.
        values, deciding: dicts of settings.
    """
    rows = [f"| {name} | {table_cell(value)} |" for name, value in sorted(values.items())]
    parameters = {
        name: value
        for name, value in deciding.items()
        if isinstance(value, (bool, int, float, str))
    }
    with tf.summary.create_file_writer(str(folder / "validation")).as_default(step=0):
        tf.summary.text("flags", "\n".join(["| flag | value |", "|---|---|", *rows]))
        hparams.hparams(parameters)


def write_test(folder, step, scalars, picture):
    """What a test found and an episode of it for TensorBoard, the latter also as `episode.png`.

    Args:
        folder: the run's folder, a `pathlib.Path`.
        step: number of training episodes.
        scalars: dict from a tag to a number.
        picture: uint8 `[height, width, 3]`.
    """
    with tf.summary.create_file_writer(str(folder / "test")).as_default(step=step):
        for name, value in scalars.items():
            tf.summary.scalar(name, value)
        tf.summary.image("episode", picture[None])
    with files.replacing(folder / "episode.png") as part:
        part.write_bytes(tf.io.encode_png(picture).numpy())
