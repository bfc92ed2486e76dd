"""Checkpoints: a run that is killed at any moment goes on exactly."""

import contextlib
import json
import pathlib
import shutil
import time
import types

import keras
from absl import logging

from meta_keras import files
from meta_keras.errors import CheckpointError
from meta_keras.presets import BEST_FILE, SETTINGS_FILE, model_file
from meta_keras.training import saved_state

KEPT = ("epoch", "best_epoch", "best", "seconds", "best_sha256")
LEARNER_FILE = "learner.keras"


class Checkpoint(keras.callbacks.Callback):
    """Saves the whole state of a run after every epoch, so that a killed run goes on exactly.

    `folder/<epoch>/` holds `learner.keras` (weights and optimizer) and `state.json`. The folder
    gets its name only when it is complete and is deleted only after its successor is, so at any
    moment at least one checkpoint is whole. The weights of the epoch with the best `monitor` are
    kept as `best.keras` beside `folder`; `state.json` names them by their digest. They are written
    into the checkpoint and moved from there, so that they never belong to another one.

    A run that is stopped within an epoch saves `folder/<epoch>-<updates>/` with `save_within`.

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
        self.best_file = self.folder.parent / BEST_FILE
        self.state = dict(state or self.NEW)

    @classmethod
    def resume(cls, folder, monitor="val_accuracy"):
        """The newest checkpoint: `(callback, compiled model)`, or None if there is none.

        Raises:
            CheckpointError: the newest checkpoint or its best weights are damaged.
        """
        newest = saved_state.newest(folder)
        if newest is None:
            return None
        checkpoint = cls._read(newest, monitor)
        if checkpoint.state["best"] is not None:
            checkpoint._mend_best(newest)
        checkpoint._settle(newest)
        try:
            learner = model_file.load(newest / LEARNER_FILE, compile=True)
        except model_file.UnreadableModel as error:
            raise _damaged(newest, f"{LEARNER_FILE} {error}") from error
        return checkpoint, learner

    @classmethod
    def trained(cls, folder, monitor="val_accuracy"):
        """What a run has reached: `(learner, state)`, see `load_best` and the class.

        Only reads, so that another process may be training meanwhile.

        Raises:
            CheckpointError: there are no trained weights, or they are damaged.
        """
        for tries_left in (2, 1, 0):
            try:
                newest = saved_state.newest(folder)
                if newest is None:
                    return cls(folder).load_best(), dict(cls.NEW)
                checkpoint = cls._read(newest, monitor, with_learner=False)
                return checkpoint.load_best(), checkpoint.state
            except CheckpointError:
                if not tries_left:
                    raise
                time.sleep(0.1)  # Another process may just have replaced them.

    @classmethod
    def _read(cls, newest, monitor, with_learner=True):
        try:
            state = saved_state.read(newest)
            digest = state.pop("sha256")
            if with_learner and saved_state.sha256(newest / LEARNER_FILE) != digest:
                raise ValueError(f"{LEARNER_FILE} is not the file that was saved")
            if state.pop("run", None) not in (None, _run(newest.parent)):
                raise ValueError("it is of a run with another flags.json")
        except (OSError, ValueError) as error:
            raise _damaged(newest, error) from error
        return cls(newest.parent, state, monitor)

    def load_best(self):
        """The learner with the best weights so far, not compiled.

        Raises:
            CheckpointError: there are none, or their file is damaged or of another run.
        """
        file = self._check_best()
        try:
            return model_file.load(file)
        except model_file.UnreadableModel as error:
            raise CheckpointError(f"{file} {error}. {ADVICE}") from error

    def _check_best(self):
        """The file of the best weights, which is still in its checkpoint or has been moved.

        Where it is damaged or lost, the checkpoint of that epoch has the same weights, if it is
        still there.
        """
        inner = self.folder / saved_state.name(self.state["epoch"]) / BEST_FILE
        file = inner if inner.exists() else self.best_file
        # Runs of version 0.1 did not write down the digest.
        digest = self.state.get("best_sha256")
        if file.is_file() and (digest is None or saved_state.sha256(file) == digest):
            return file
        of_best = self.folder / saved_state.name(self.state["best_epoch"])
        with contextlib.suppress(CheckpointError):
            self._read(of_best, self.monitor)
            return of_best / LEARNER_FILE
        if not file.is_file():
            raise CheckpointError(f"There are no trained weights: {self.best_file} is missing.")
        raise CheckpointError(
            f"{file} is damaged or of another run: it is not the file that the newest checkpoint "
            f"names. {ADVICE}"
        )

    def _mend_best(self, newest):
        """Writes the best weights anew where they are damaged but known."""
        known = self._check_best()
        if known.name == BEST_FILE:
            return
        logging.warning("%s is damaged or lost, and made anew of %s.", self.best_file, known)
        with files.replacing(self.best_file) as part:
            try:
                model_file.save(model_file.load(known), part)
            except model_file.UnreadableModel as error:
                raise _damaged(known.parent, f"{LEARNER_FILE} {error}") from error
            self.state["best_sha256"] = saved_state.sha256(part)
            state = files.read_json(newest / "state.json")
            files.write_json(
                newest / "state.json", {**state, "best_sha256": self.state["best_sha256"]}
            )
        (newest / BEST_FILE).unlink(missing_ok=True)

    def on_train_begin(self, logs=None):
        self._began = time.monotonic() - self.state["seconds"]
        self._run = _run(self.folder)

    def on_epoch_begin(self, epoch, logs=None):
        # Keras has just set them to zero.
        values = self.state.pop("metrics", [])
        for variable, value in zip(self.model.metrics_variables, values, strict=bool(values)):
            variable.assign(value)

    def on_epoch_end(self, epoch, logs=None):
        self.state = {key: self.state[key] for key in KEPT if key in self.state}
        self.state["epoch"] = epoch + 1
        value, best = float(logs[self.monitor]), self.state["best"]
        is_best = best is None or (value < best if "loss" in self.monitor else value > best)
        if is_best:
            self.state.update(best_epoch=epoch + 1, best=value)
        self._save(is_best)

    def save_within(self, updates, logs):
        """Saves a run that stops after some updates of an epoch.

        Args:
            updates: how many, at least 1.
            logs: what Keras has reported after the last.
        """
        values = [variable.numpy().tolist() for variable in self.model.metrics_variables]
        logs = {name: float(value) for name, value in logs.items()}
        self.state.update(updates=updates, metrics=values, logs=logs)
        self._save()

    def _save(self, is_best=False):
        if _run(self.folder) != self._run:
            raise CheckpointError(
                f"{self.folder.parent} was removed, or is another run's by now: nothing more of "
                "this one is saved there."
            )
        self.state["seconds"] = time.monotonic() - self._began
        self.folder.mkdir(parents=True, exist_ok=True)
        newest = self.folder / saved_state.name(self.state["epoch"], self.state.get("updates", 0))
        with files.replacing(newest) as part:
            part.mkdir()
            self.model.save(part / LEARNER_FILE)
            if is_best:
                model_file.save(self.model, part / BEST_FILE)
                self.state["best_sha256"] = saved_state.sha256(part / BEST_FILE)
            digest = saved_state.sha256(part / LEARNER_FILE)
            state = {**self.state, "sha256": digest, "run": self._run}
            (part / "state.json").write_text(json.dumps(state))
        self._settle(newest)

    def _settle(self, newest):
        """Moves the best weights out of a checkpoint that is whole and deletes those before it."""
        if (newest / BEST_FILE).exists():
            files.move(newest / BEST_FILE, self.best_file)
        for other in saved_state.found(self.folder):
            if saved_state.order(other) < saved_state.order(newest):
                shutil.rmtree(other, ignore_errors=True)


ADVICE = (
    "Put back the file if there is a copy; else delete the folder of the run to train anew, or "
    "name another one."
)


def _run(folder):
    """What names the run whose checkpoints are in a folder: the digest of its settings."""
    settings = folder.parent / SETTINGS_FILE
    return saved_state.sha256(settings) if settings.exists() else None


def _damaged(checkpoint, reason):
    return CheckpointError(
        f"The checkpoint {checkpoint} is damaged ({reason}). Delete that folder to go on from the "
        "one before it, if there is one, or else to start anew; or name another `logdir`."
    )
