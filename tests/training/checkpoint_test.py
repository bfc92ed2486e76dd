"""Tests of checkpoints that are damaged, of another run, or in the way of each other."""

import json
import resource
import shutil
import zipfile

import keras
import numpy as np
import pytest

from meta_keras.errors import CheckpointError, OutputError
from meta_keras.training.checkpoint import Checkpoint


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((50,)), keras.layers.Dense(50)])
    model.compile("adam", "mse")
    return model


def save(folder, model, accuracies, first=0):
    """A run's checkpoints after epochs with the given validation accuracies."""
    checkpoint = Checkpoint(folder / "checkpoints")
    checkpoint.set_model(model)
    checkpoint.on_train_begin()
    for epoch, accuracy in enumerate(accuracies, first):
        model.layers[0].bias.assign(np.full(50, epoch + 1.0))
        checkpoint.on_epoch_end(epoch, {"val_accuracy": accuracy})
    return checkpoint


def names(folder):
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


@pytest.fixture
def run(model, tmp_path):
    """The folder of a run of three epochs, the second of which was the best."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "flags.json").write_text('{"seed": 1}')
    save(tmp_path / "run", model, [0.5, 0.9, 0.7])
    return tmp_path / "run"


def state_file(run):
    return run / "checkpoints" / "000003" / "state.json"


STATE = {
    "no JSON": lambda state: "{",
    "no table": lambda state: "[]",
    "no text": lambda state: "\0\0",
    "nested": lambda state: "[" * 100_000,
    "empty": lambda state: "",
    "lacks": lambda state: {name: value for name, value in state.items() if name != "best"},
    "type": lambda state: {**state, "epoch": "3"},
    "negative": lambda state: {**state, "best_epoch": -1},
    "number": lambda state: {**state, "seconds": float("nan")},
    "digest": lambda state: {**state, "sha256": 3},
    "other epoch": lambda state: {**state, "epoch": 4},
    "best to come": lambda state: {**state, "best_epoch": 5},
    "best of nothing": lambda state: {**state, "best": None},
    "logs": lambda state: {**state, "logs": {"loss": "x"}},
}


@pytest.mark.parametrize("damage", STATE)
def test_damaged_state(run, damage):
    found = STATE[damage](json.loads(state_file(run).read_text()))
    state_file(run).write_text(found if isinstance(found, str) else json.dumps(found))
    for read in (Checkpoint.resume, Checkpoint.trained):
        with pytest.raises(CheckpointError, match=r"000003 is damaged .*Delete that folder"):
            read(run / "checkpoints")


def test_best_weights_of_another_run(run, model, tmp_path):
    save(tmp_path / "other", model, [0.99])
    shutil.copy(tmp_path / "other" / "best.keras", run / "best.keras")
    for read in (Checkpoint.resume, Checkpoint.trained):
        with pytest.raises(CheckpointError, match="best.keras is damaged or of another run"):
            read(run / "checkpoints")


def test_checkpoint_of_a_run_with_other_settings(run, tmp_path):
    shutil.copytree(run, tmp_path / "other")
    (tmp_path / "other" / "flags.json").write_text('{"seed": 2}')
    with pytest.raises(CheckpointError, match=r"of a run with another flags\.json"):
        Checkpoint.resume(tmp_path / "other" / "checkpoints")


def test_missing_best_weights_are_missed_before_the_training(run):
    (run / "best.keras").unlink()
    with pytest.raises(CheckpointError, match=r"best\.keras is missing"):
        Checkpoint.resume(run / "checkpoints")


@pytest.mark.parametrize("damage", ["noise", "lost", "before it was moved"])
def test_damaged_best_weights_are_those_of_the_checkpoint(model, tmp_path, damage, monkeypatch):
    """As long as the checkpoint of the best epoch is there."""
    if damage == "before it was moved":
        monkeypatch.setattr(Checkpoint, "_settle", lambda *_: None)
    checkpoint = save(tmp_path, model, [0.5, 0.9])
    file = tmp_path / "best.keras"
    if damage == "before it was moved":
        monkeypatch.undo()
        file = checkpoint.folder / "000002" / "best.keras"
    if damage == "lost":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-9])
    learner, _ = Checkpoint.trained(checkpoint.folder)
    assert learner.layers[0].bias.numpy()[0] == 2.0 and not learner.compiled
    checkpoint, model = Checkpoint.resume(checkpoint.folder)
    assert names(tmp_path) == ["000002"]
    checkpoint.set_model(model)
    checkpoint.on_train_begin()
    model.layers[0].bias.assign(np.full(50, 3.0))
    checkpoint.on_epoch_end(2, {"val_accuracy": 0.7})
    for learner in (Checkpoint.trained(checkpoint.folder)[0], checkpoint.load_best()):
        assert learner.layers[0].bias.numpy()[0] == 2.0
    with zipfile.ZipFile(tmp_path / "best.keras") as archive:
        assert b"optimizer" not in archive.read("model.weights.h5")


def test_a_run_of_an_older_version_goes_on(run):
    state = json.loads(state_file(run).read_text())
    old = ("epoch", "best_epoch", "best", "seconds", "sha256")
    state_file(run).write_text(json.dumps({name: state[name] for name in old}))
    checkpoint, model = Checkpoint.resume(run / "checkpoints")
    assert (checkpoint.state["epoch"], model.layers[0].bias.numpy()[0]) == (3, 3.0)
    learner, _ = Checkpoint.trained(run / "checkpoints")
    assert learner.layers[0].bias.numpy()[0] == 2.0


def test_best_weights_carry_no_optimizer(run):
    with zipfile.ZipFile(run / "best.keras") as archive:
        assert b"optimizer" not in archive.read("model.weights.h5")
    assert not keras.models.load_model(run / "best.keras").compiled


def test_killed_between_checkpoint_and_best_weights(run, monkeypatch):
    """The new best is in the checkpoint that names it, and is moved when the run is opened."""
    checkpoint, model = Checkpoint.resume(run / "checkpoints")
    checkpoint.set_model(model)
    checkpoint.on_train_begin()
    model.layers[0].bias.assign(np.full(50, 4.0))
    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr(Checkpoint, "_settle", lambda *_: 1 / 0)
        checkpoint.on_epoch_end(3, {"val_accuracy": 0.95})
    assert names(run) == ["000003", "000004"]
    learner, state = Checkpoint.trained(run / "checkpoints")
    assert (learner.layers[0].bias.numpy()[0], state["best"]) == (4.0, 0.95)
    before = (run / "best.keras").read_bytes()
    checkpoint, _ = Checkpoint.resume(run / "checkpoints")
    assert (run / "best.keras").read_bytes() != before
    assert checkpoint.load_best().layers[0].bias.numpy()[0] == 4.0
    assert names(run) == ["000004"]


def test_a_newer_checkpoint_is_never_deleted(run, model):
    save(run, model, [0.3])
    assert names(run) == ["000001", "000003"]


@pytest.mark.parametrize("settings", [None, '{"seed": 2}'])
def test_a_folder_that_is_no_longer_the_runs(run, settings):
    checkpoint, model = Checkpoint.resume(run / "checkpoints")
    checkpoint.set_model(model)
    checkpoint.on_train_begin()
    shutil.rmtree(run)
    if settings:
        run.mkdir()
        (run / "flags.json").write_text(settings)
    with pytest.raises(CheckpointError, match="run was removed, or is another run's by now"):
        checkpoint.on_epoch_end(3, {"val_accuracy": 0.99})
    assert not (run / "checkpoints").exists()


@pytest.fixture
def full():
    """Function: from now on no file may grow beyond some bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk_leaves_the_checkpoint_before_it_and_no_stubs(run, full):
    checkpoint, model = Checkpoint.resume(run / "checkpoints")
    checkpoint.set_model(model)
    checkpoint.on_train_begin()
    best = (run / "best.keras").read_bytes()
    full(20_000)
    with pytest.raises(OutputError, match=r"checkpoints/000004 cannot be written: File too large"):
        checkpoint.on_epoch_end(3, {"val_accuracy": 0.99})
    assert names(run) == ["000003"]
    assert (run / "best.keras").read_bytes() == best
    assert Checkpoint.resume(run / "checkpoints")[0].state["epoch"] == 3
