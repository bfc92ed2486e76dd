"""What an `OptimizerTrainer` is trained and validated on is what it is set to, or is refused."""

import keras
import numpy as np
import pytest

from meta_keras.errors import SettingError
from meta_keras.layers import CoordinatewiseLSTM
from meta_keras.optimizers import OptimizerTrainer, truncations, validation_optimizations
from meta_keras.problems import Quadratic

PROBLEM = Quadratic(dimensions=2, batch=3)


def _trainer(run_eagerly=True, **kwargs):
    keras.utils.set_random_seed(0)
    settings = {"unroll_steps": 2, "horizon": 3, **kwargs}
    trainer = OptimizerTrainer(CoordinatewiseLSTM((3,)), PROBLEM, **settings)
    trainer.compile("sgd", run_eagerly=run_eagerly, jit_compile=False)
    return trainer


@pytest.mark.parametrize(
    ("run_eagerly", "change"), [(True, lambda x: x.prefetch(1)), (False, lambda x: x.take(2))]
)
def test_truncations_of_another_length(run_eagerly, change):
    """They would step over parts of an optimization, whatever else is done to the data set."""
    trainer = _trainer(run_eagerly)
    before = trainer.get_weights()
    with pytest.raises(SettingError, match=r"unroll_steps=2, .* made with unroll_steps=4\."):
        trainer.fit(change(truncations(4, 8, 4)), verbose=0)
    for actual, expected in zip(trainer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(actual, expected)
    _trainer().fit(change(truncations(4, 8, 2)), verbose=0)


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_another_length_in_the_middle_of_a_fit(run_eagerly):
    class Longer(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.unroll_steps = 4

    trainer = _trainer(run_eagerly)
    with pytest.raises(SettingError, match=r"unroll_steps=4, .* made with unroll_steps=2\."):
        trainer.fit(truncations(4, 8, 2), verbose=0, callbacks=[Longer()])
    if run_eagerly:
        trainer.fit(truncations(2, 8, 4), verbose=0)


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_fewer_loss_weights_than_steps(run_eagerly):
    """Of the longest optimization of a curriculum, before the first step."""
    trainer = _trainer(run_eagerly, loss_weights=[1.0] * 5)
    message = r"an optimization of 6 steps is longer than loss_weights, of which there are 5\."
    with pytest.raises(SettingError, match=message):
        trainer.fit(truncations(4, [2, 6], 2), verbose=0)
    assert int(trainer.optimizer.iterations) == 0
    if run_eagerly:
        trainer.fit(truncations(4, [2, 4], 2), verbose=0)


@pytest.mark.parametrize("bad", [[1, np.nan], [1, np.inf], "linear", 2.0, [1.0, None]])
def test_loss_weights_that_are_none(bad):
    message, trainer = "loss_weights must not .*list of finite numbers", _trainer()
    with pytest.raises(SettingError, match=message):
        _trainer(loss_weights=bad)
    with pytest.raises(SettingError, match=message):
        trainer.loss_weights = bad


WORK, VALIDATION = truncations(2, 4, 2), validation_optimizations([-1, -2])


@pytest.mark.parametrize("run_eagerly", [True, False])
@pytest.mark.parametrize(
    ("method", "data", "message"),
    [
        ("fit", WORK.batch(2), "what truncations gives.*not batched"),
        ("fit", VALIDATION, "what truncations gives"),
        ("fit", {"seed": np.arange(4), "step": np.zeros(4)}, "what truncations gives"),
        ("fit", None, "missing.*what truncations gives"),
        ("evaluate", VALIDATION.batch(2), "what validation_optimizations gives.*not batched"),
        ("evaluate", WORK, "what validation_optimizations gives"),
        ("evaluate", None, "missing.*what validation_optimizations gives"),
    ],
)
def test_data_of_another_kind(run_eagerly, method, data, message):
    with pytest.raises(SettingError, match=f"OptimizerTrainer: `x` .*{message}"):
        getattr(_trainer(run_eagerly), method)(data, verbose=0)


def test_what_is_no_cell_and_what_is_no_problem():
    with pytest.raises(SettingError, match="cell='adam' must be a meta_keras.layers.Cell"):
        OptimizerTrainer("adam", PROBLEM)
    with pytest.raises(SettingError, match="problem must have 6 parameters.*'quadratic'"):
        _trainer().problem = "quadratic"


def test_another_policy_set_later():
    """As for cells: under a mixed one all stays float32, others are refused."""
    trainer = _trainer()
    trainer.dtype_policy = "mixed_float16"
    trainer.compile("sgd", run_eagerly=True)
    assert trainer.compute_dtype == "float32" and type(trainer.optimizer) is keras.optimizers.SGD
    for dtype in ("float16", "float64"):
        with pytest.raises(SettingError, match=f"OptimizerTrainer: dtype='{dtype}' must be"):
            trainer.dtype_policy = dtype


def test_another_meta_batch():
    with pytest.raises(SettingError, match=r"meta_batch=1, .* are of 2 optimizations\."):
        _trainer().fit(truncations(1, 4, 2, meta_batch=2), verbose=0)


def test_an_update_of_a_meta_batch_is_the_mean_of_those_of_its_optimizations():
    """Descent's first step is linear in the gradient."""

    def moves(meta_batch, streams):
        work = truncations(1, 4, 2, meta_batch=2, streams=streams)
        trainer = _trainer(meta_batch=meta_batch)
        trainer.compile(keras.optimizers.SGD(1e3), jit_compile=False)  # Far beyond rounding.
        before = [variable.numpy() for variable in trainer.trainable_variables]
        trainer.fit(work, verbose=0)
        return [v.numpy() - b for v, b in zip(trainer.trainable_variables, before, strict=True)]

    together = moves(2, None)
    assert max(abs(move).max() for move in together) > 1e-2
    for found, one, other in zip(together, moves(1, [0]), moves(1, [1]), strict=True):
        assert not np.allclose(one, other, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(found, (one + other) / 2, rtol=1e-4, atol=1e-6)
