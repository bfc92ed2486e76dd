"""Tests of checkpoints, of the guard against losses that are no numbers, and of progress."""

import io
import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras import LSTMMetaLearner
from meta_keras.errors import NonFiniteLoss
from meta_keras.layers import GatedLSTMCell
from meta_keras.training.checkpoint import Checkpoint
from meta_keras.training.guard import StopOnNonFiniteLoss
from meta_keras.training.progress import Progress

UPDATES = 3


@pytest.fixture
def learner(make_network):
    learner = LSTMMetaLearner(make_network(dtype="float32"), GatedLSTMCell(units=3), inner_steps=1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    return learner


@pytest.fixture
def make_dataset(make_episodes):
    """Function: a dataset of single episodes, those with the given numbers full of NaN."""

    def make(count, broken=()):
        x, y = make_episodes(count, dtype="float32")
        for number in broken:
            x["query_images"][number] = np.nan
        return tf.data.Dataset.from_tensor_slices((x, y)).batch(1)

    return make


def fit(learner, folder, train, validation):
    checkpoint = Checkpoint(folder / "checkpoints")
    learner.fit(
        train,
        epochs=2,
        steps_per_epoch=UPDATES,
        validation_data=validation,
        callbacks=[StopOnNonFiniteLoss(UPDATES), checkpoint],
        verbose=0,
        shuffle=False,
    )


def test_not_a_number_stops_and_keeps_the_last_good_weights(learner, make_dataset, tmp_path):
    with pytest.raises(NonFiniteLoss, match=r"nan at update 5\."):
        fit(learner, tmp_path, make_dataset(6, broken=[4]), make_dataset(2))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["000001"]
    checkpoint, saved = Checkpoint.resume(tmp_path / "checkpoints")
    assert checkpoint.state["epoch"] == 1
    best = keras.models.load_model(tmp_path / "best.keras")
    for variable in [*saved.variables, *saved.optimizer.variables, *best.variables]:
        assert np.isfinite(variable.numpy()).all()


def test_not_a_number_in_the_last_update_of_an_epoch_is_not_saved(learner, make_dataset, tmp_path):
    with pytest.raises(NonFiniteLoss, match="validation loss became nan after update 3"):
        fit(learner, tmp_path, make_dataset(6), make_dataset(2, broken=[1]))
    assert not (tmp_path / "checkpoints").exists()
    assert not (tmp_path / "best.keras").exists()


def test_best_weights_are_those_of_the_best_validation(learner, tmp_path):
    checkpoint = Checkpoint(tmp_path / "checkpoints")
    checkpoint.set_model(learner)
    checkpoint.on_train_begin()
    bias = learner.cell.input_gate_bias
    for epoch, accuracy in enumerate([0.5, 0.9, 0.9, 0.7]):
        bias.assign(tf.fill(bias.shape, float(epoch)))
        checkpoint.on_epoch_end(epoch, {"val_accuracy": accuracy})
    best = keras.models.load_model(tmp_path / "best.keras", compile=False)
    assert float(tf.reshape(best.cell.input_gate_bias, [-1])[0]) == 1.0
    state = json.loads((tmp_path / "checkpoints" / "000004" / "state.json").read_text())
    assert (state["best_epoch"], state["best"]) == (2, 0.9)


def test_the_best_loss_is_the_lowest(learner, tmp_path):
    checkpoint = Checkpoint(tmp_path / "checkpoints", monitor="val_loss")
    checkpoint.set_model(learner)
    checkpoint.on_train_begin()
    for epoch, loss in enumerate([0.5, 0.2, 0.3]):
        checkpoint.on_epoch_end(epoch, {"val_loss": loss})
    assert (checkpoint.state["best_epoch"], checkpoint.state["best"]) == (2, 0.2)


def test_an_interrupted_save_leaves_the_checkpoint_before_it(learner, tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "checkpoints")
    checkpoint.set_model(learner)
    checkpoint.on_train_begin()
    checkpoint.on_epoch_end(0, {"val_accuracy": 0.5})

    def full_disk(path, **kwargs):
        path.write_bytes(b"half a file")
        raise OSError("No space left on device")

    monkeypatch.setattr(learner, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.on_epoch_end(1, {"val_accuracy": 0.4})
    resumed, _ = Checkpoint.resume(tmp_path / "checkpoints")
    assert resumed.state["epoch"] == 1


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_progress(learner, make_dataset, stream):
    written = stream()
    progress = Progress("episode", 8, 4, 2, stream=written)
    logs = {"loss": 1.25, "accuracy": 0.5}
    for epoch in range(2):
        progress.on_epoch_begin(epoch)
        for batch in range(2):
            progress.on_train_batch_end(batch, logs)
        progress.on_epoch_end(epoch, {**logs, "val_accuracy": 0.875})
    lines = re.split(r"[\r\n]+", written.getvalue().rstrip("\r\n"))
    lines = [line for line in lines if line.startswith("episode ")]
    assert "episode 4/8  loss 1.250  accuracy  50.0%  validation  87.5%" in lines[0]
    assert "episode 8/8" in lines[1]
    assert lines[1].endswith("00:00 left")
    assert ("\r" in written.getvalue()) == (stream is Terminal)
