"""Tests of the training that resumes: a signal at any moment changes nothing but when it ends."""

import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.errors import CheckpointError, RunStopped
from meta_keras.layers import CoordinatewiseLSTM
from meta_keras.optimizers import OptimizerTrainer, truncations, validation_optimizations
from meta_keras.problems import Quadratic
from meta_keras.training.fit import fit

UPDATES, EPOCHS = 3, 2


class Recorder(keras.callbacks.Callback):
    """Keeps the logs of every epoch, and sends the process a signal at one moment."""

    def __init__(self, moment=None, number=signal.SIGINT):
        super().__init__()
        self.moment, self.number, self.logs = moment, number, {}

    def _reach(self, *moment):
        if moment == self.moment:
            signal.raise_signal(self.number)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self._reach("update", self.epoch, batch)

    def on_test_batch_begin(self, batch, logs=None):
        self._reach("validation", self.epoch, batch)

    def on_epoch_end(self, epoch, logs=None):
        self.logs[epoch] = {name: float(value) for name, value in logs.items()}
        self._reach("end", epoch)


def regression(updates):
    inputs = keras.Input((2,))
    x = keras.layers.BatchNormalization()(keras.layers.Dense(3, "tanh")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    model.compile(keras.optimizers.Adam(0.1), "mse", metrics=["mae"])
    return model


def samples(start, count):
    def sample(i):
        x = tf.random.stateless_uniform([4, 2], [i, 0])
        return x, tf.reduce_sum(x, axis=1, keepdims=True)

    return tf.data.Dataset.range(start, start + count).map(sample)


def trainer(updates):
    trainer = OptimizerTrainer(CoordinatewiseLSTM((3,)), PROBLEM, unroll_steps=2, horizon=4)
    trainer.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    return trainer


PROBLEM = Quadratic(dimensions=2, batch=2)
KINDS = {
    "regression": {
        "new_model": regression,
        "batches": samples,
        "validation": lambda count: samples(1000, count or 2),
    },
    "optimizer": {
        "new_model": trainer,
        "batches": lambda start, count: truncations(count, 4, 2, start=start),
        "validation": lambda count: validation_optimizations(range(-(count or 2), 0)),
        "on_resume": lambda model: setattr(model, "problem", PROBLEM),
    },
}


def train(folder, kind="regression", recorder=None, **settings):
    """The logs of every epoch and all weights at the end."""
    keras.utils.set_random_seed(0)
    recorder = recorder or Recorder()
    arguments = {"epochs": EPOCHS, "updates": UPDATES, **KINDS[kind], **settings}
    fit(
        folder, callbacks=lambda: [recorder], unit="update", monitor="val_loss", verbose=False,
        **arguments,
    )  # fmt: skip
    newest = keras.models.load_model(folder / "checkpoints" / "000002" / "learner.keras")
    best = keras.models.load_model(folder / "best.keras")
    variables = [*newest.variables, *newest.optimizer.variables, *best.variables]
    return recorder.logs, [variable.numpy() for variable in variables]


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    """Without graphs: tracing them would take longer than the few updates do."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Function of a kind: `train` without interruption, once."""
    done = {}

    def whole(kind):
        if kind not in done:
            done[kind] = train(tmp_path_factory.mktemp("whole"), kind)
        return done[kind]

    return whole


MOMENTS = {
    ("update", 0, 0): "000000-000001",
    ("update", 1, 1): "000001-000002",
    ("update", 0, 2): "000000-000003",
    ("validation", 1, 0): "000001-000003",
    ("end", 0): "000001",
}


@pytest.mark.parametrize(
    ("kind", "moment"),
    [*(("regression", moment) for moment in MOMENTS), ("optimizer", ("update", 1, 1))],
)
def test_stopped_and_continued_it_is_the_same_run(whole, kind, moment, tmp_path):
    begun = Recorder(moment)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, kind, begun)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [MOMENTS[moment]]
    logs, weights = train(tmp_path, kind)
    expected_logs, expected_weights = whole(kind)
    assert {**begun.logs, **logs} == expected_logs
    assert set(begun.logs) & set(logs) == set()
    for value, expected in zip(weights, expected_weights, strict=True):
        np.testing.assert_array_equal(value, expected)


def test_stopped_twice_in_the_same_validation(whole, tmp_path):
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, recorder=Recorder(("validation", 0, 0)))
        assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["000000-000003"]
    assert train(tmp_path)[0] == whole("regression")[0]


def test_a_handler_of_the_users_own_is_called_after_the_checkpoint(tmp_path):
    found = []

    def handler(number, frame):
        found.extend(path.name for path in (tmp_path / "checkpoints").iterdir())

    before = signal.signal(signal.SIGTERM, handler)
    try:
        with pytest.raises(RunStopped, match="SIGTERM"):
            train(tmp_path, recorder=Recorder(("update", 0, 1), signal.SIGTERM))
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)
    assert found == ["000000-000002"]


def test_checkpoints_of_a_longer_run_are_refused(tmp_path):
    train(tmp_path)
    with pytest.raises(CheckpointError, match="not of this run, which has 1 validations of 3"):
        train(tmp_path, epochs=1)
