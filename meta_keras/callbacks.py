"""Keras callbacks for episodic training: checkpoints, TensorBoard, progress, NaN guard."""

import hashlib
import json
import math
import os
import pathlib
import shutil
import sys
import time
import types

import keras
import tensorflow as tf

from meta_keras import pictures
from meta_keras.errors import CheckpointError, NonFiniteLoss


class Checkpoint(keras.callbacks.Callback):
    """Saves the whole state of a run after every epoch, so that a killed run goes on exactly.

    `folder/<epoch>/` holds `learner.keras` (weights and optimizer) and `state.json`. The folder
    gets its name only when it is complete and is deleted only after its successor is, so at any
    moment at least one checkpoint is whole. The weights of the epoch with the best `monitor` are
    kept as `best.keras` beside `folder`.

    Args:
        folder: path; made when first needed.
        state: dict that goes into `state.json`; `resume` returns it. `NEW`, that of a run not yet
            begun, by default.
        monitor: the entry of Keras' logs that is best when highest, or lowest if it is a loss.
    """

    NEW = types.MappingProxyType({"epoch": 0, "best_epoch": 0, "best": None, "seconds": 0.0})

    def __init__(self, folder, state=None, monitor="val_accuracy"):
        super().__init__()
        self.monitor = monitor
        self.folder = pathlib.Path(folder)
        self.best_file = self.folder.parent / "best.keras"
        self.state = dict(state or self.NEW)

    @classmethod
    def resume(cls, folder, monitor="val_accuracy"):
        """The newest checkpoint: `(callback, compiled model)`, or None if there is none.

        Raises:
            CheckpointError: the newest checkpoint is damaged.
        """
        folders = sorted(path for path in pathlib.Path(folder).glob("*") if path.name.isdigit())
        if not folders:
            return None
        newest = folders[-1]
        try:
            state = json.loads((newest / "state.json").read_text())
            if _sha256(newest / "learner.keras") != state.pop("sha256"):
                raise ValueError("learner.keras is not the file that was saved")
            learner = keras.models.load_model(newest / "learner.keras")
        except Exception as error:  # damage shows as zip, HDF5, JSON or value errors
            raise CheckpointError(
                f"The checkpoint {newest} is damaged ({error}). Delete that folder to start anew, "
                "or name another one."
            ) from error
        return cls(folder, state, monitor), learner

    def load_best(self):
        """The learner with the best weights so far, not compiled.

        Raises:
            CheckpointError: there are none, or their file is damaged.
        """
        if not self.best_file.is_file():
            raise CheckpointError(f"There are no trained weights: {self.best_file} is missing.")
        try:
            return keras.models.load_model(self.best_file, compile=False)
        except Exception as error:  # damage shows as zip, HDF5, JSON or value errors
            raise CheckpointError(f"{self.best_file} is damaged ({error}).") from error

    def on_train_begin(self, logs=None):
        self._began = time.monotonic() - self.state["seconds"]

    def on_epoch_end(self, epoch, logs=None):
        self.state.update(epoch=epoch + 1, seconds=time.monotonic() - self._began)
        value, best = float(logs[self.monitor]), self.state["best"]
        if best is None or (value < best if "loss" in self.monitor else value > best):
            self.state.update(best_epoch=epoch + 1, best=value)
            part = self.best_file.with_suffix(".tmp.keras")
            self.model.save(part, include_optimizer=False)
            os.replace(part, self.best_file)
        part = self.folder / "unfinished"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        self.model.save(part / "learner.keras")
        state = {**self.state, "sha256": _sha256(part / "learner.keras")}
        (part / "state.json").write_text(json.dumps(state))
        newest = self.folder / f"{epoch + 1:06d}"
        part.rename(newest)
        for older in self.folder.iterdir():
            if older != newest:
                shutil.rmtree(older, ignore_errors=True)


def _sha256(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


class StopOnNonFiniteLoss(keras.callbacks.Callback):
    """Raises `NonFiniteLoss` as soon as the loss is not finite, before anything is saved.

    Must stand before `Checkpoint` in the list of callbacks.

    Args:
        updates_per_epoch: to say where it happened.
    """

    def __init__(self, updates_per_epoch):
        super().__init__()
        self.updates_per_epoch = updates_per_epoch
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        # Keras reports the running mean, which stays non-finite once it is.
        if not math.isfinite(logs["loss"]):
            update = self.epoch * self.updates_per_epoch + batch + 1
            raise NonFiniteLoss(f"The loss became {logs['loss']} at update {update}.")

    def on_epoch_end(self, epoch, logs=None):
        # The last update's own damage shows only in the next loss.
        if not math.isfinite(logs.get("val_loss", 0.0)):
            raise NonFiniteLoss(
                f"The validation loss became {logs['val_loss']} after update "
                f"{(epoch + 1) * self.updates_per_epoch}."
            )


class Progress(keras.callbacks.Callback):
    """A line per validation, and on a terminal a line that moves in between.

    Args:
        episodes_per_epoch: episodes between two validations.
        episodes: of the whole run.
        update_episodes: episodes of one update (the meta-batch).
    """

    def __init__(self, episodes_per_epoch, episodes, update_episodes, stream=None, unit="episode"):
        super().__init__()
        self.episodes_per_epoch = episodes_per_epoch
        self.episodes = episodes
        self.update_episodes = update_episodes
        self.stream = stream or sys.stdout
        self.unit = unit
        self.rate = None

    def on_epoch_begin(self, epoch, logs=None):
        self.done = epoch * self.episodes_per_epoch
        self.first = self.shown = None

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        seen = (batch + 1) * self.update_episodes
        if self.first is None:  # the very first update includes tracing
            self.first = self.shown = (now, seen)
            return
        self.rate = (seen - self.first[1]) / max(now - self.first[0], 1e-9)
        if self.stream.isatty() and now - self.shown[0] > 0.5:
            self.shown = (now, seen)
            self.stream.write("\r\x1b[K" + self._line(self.done + seen, logs))
            self.stream.flush()

    def on_epoch_end(self, epoch, logs=None):
        if self.stream.isatty():
            self.stream.write("\r\x1b[K")
        self.stream.write(self._line(self.done + self.episodes_per_epoch, logs) + "\n")
        self.stream.flush()

    def _line(self, done, logs):
        parts = [
            f"{self.unit} {done:>{len(f'{self.episodes:,}')},}/{self.episodes:,}",
            f"loss {logs['loss']:.3f}",
        ]
        if "accuracy" in logs:
            parts.append(f"accuracy {logs['accuracy']:6.1%}")
        if "val_accuracy" in logs:
            parts.append(f"validation {logs['val_accuracy']:6.1%}")
        elif "val_loss" in logs:
            parts.append(f"validation {logs['val_loss']:.4g}")
        if self.rate:
            left = (self.episodes - done) / self.rate
            parts.append(f"{self.rate:.1f} {self.unit}s/s")
            parts.append(f"{int(left // 60)}:{int(left % 60):02d} left")
        return "  ".join(parts)


class EpisodeSummaries(keras.callbacks.Callback):
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
        picture=pictures.predicted_episode_picture,
    ):
        super().__init__()
        self.picture = picture
        self.episodes_per_epoch = episodes_per_epoch
        self.train_batch = train_batch
        self.validation_batch = validation_batch
        self.writers = {
            name: tf.summary.create_file_writer(str(pathlib.Path(logdir) / name))
            for name in ("train", "validation")
        }

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.monotonic()

    def on_test_begin(self, logs=None):
        self._trained = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        step = (epoch + 1) * self.episodes_per_epoch
        seconds = self._trained - self._began
        with self.writers["train"].as_default(step=step):
            tf.summary.scalar("loss", logs["loss"])
            tf.summary.scalar("accuracy", logs["accuracy"])
            tf.summary.scalar("episodes_per_second", self.episodes_per_epoch / seconds)
            gradient = self.model.meta_gradient(*self.train_batch)
            tf.summary.scalar("gradient_norm", tf.linalg.global_norm(gradient))
        with self.writers["validation"].as_default(step=step):
            tf.summary.scalar("loss", logs["val_loss"])
            tf.summary.scalar("accuracy", logs["val_accuracy"])
            self._write_adaptation()
            picture = self.picture(self.model, self.validation_batch)
            tf.summary.image("episode", picture[None])
        for writer in self.writers.values():
            writer.flush()

    def _write_adaptation(self):
        if not hasattr(self.model, "run_inner_loop"):
            return
        x, y = self.validation_batch
        x, y = {name: value[0] for name, value in x.items()}, y[0]
        run = self.model.run_inner_loop(x["support_images"], x["support_labels"])
        for step, loss in enumerate(run.losses):
            tf.summary.scalar(f"inner_loop/support_loss_before_step_{step + 1:02d}", loss)
        transductive = self.model.is_transductive()
        for name, parameters, state in (
            ("before", self.model.flat.parameters(), self.model.flat.state()),
            ("after", run.parameters, run.carry),
        ):
            logits, _ = self.model.flat(parameters, state, x["query_images"], transductive)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
            tf.summary.scalar(f"inner_loop/query_loss_{name}_adaptation", tf.reduce_mean(losses))
        for step, state in enumerate(run.states):
            for name, values in self.model.cell.observables(state).items():
                tf.summary.histogram(f"{name}/step_{step + 1:02d}", values)
