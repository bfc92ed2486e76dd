"""Checkpoints: a run that is killed at any moment goes on exactly."""

import hashlib
import json
import pathlib
import shutil
import time
import types

import keras

from meta_keras import files
from meta_keras.errors import CheckpointError, UserError


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
        except UserError:
            raise
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
            with files.replacing(self.best_file) as part:
                self.model.save(part, include_optimizer=False)
        self.folder.mkdir(parents=True, exist_ok=True)
        newest = self.folder / f"{epoch + 1:06d}"
        with files.replacing(newest) as part:
            part.mkdir()
            self.model.save(part / "learner.keras")
            state = {**self.state, "sha256": _sha256(part / "learner.keras")}
            (part / "state.json").write_text(json.dumps(state))
        for older in self.folder.iterdir():
            if older != newest:
                shutil.rmtree(older, ignore_errors=True)


def _sha256(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()
