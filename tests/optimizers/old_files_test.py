"""Tests of files that were written before problems had the scale of coordinates."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.layers import CoordinatewiseLSTM
from meta_keras.optimizers import LearnedOptimizer, OptimizerTrainer, old_files
from meta_keras.problems import Quadratic

SIZE = 6


def _trainer(preprocessing="rnnprop"):
    cell = CoordinatewiseLSTM((4,), preprocessing)
    trainer = OptimizerTrainer(cell, Quadratic(dimensions=2, batch=3))
    for number, variable in enumerate(trainer.carried):
        variable.assign(number + np.arange(np.size(variable)).reshape(variable.shape) / 100)
    return trainer


def _old_store(trainer, scale):
    """What the trainer would have saved: the scale second, and empty means where there are none."""
    arrays = [variable.numpy() for variable in trainer.carried]
    if not trainer.cell.preprocessing.keeps_mean:
        arrays[-1:-1] = [np.zeros(0, "float32"), np.zeros(0, "float32"), np.float32(3)]
    arrays.insert(1, np.full(SIZE, scale, "float32"))
    return {str(number): array for number, array in enumerate(arrays)}


@pytest.mark.parametrize("preprocessing", ["none", "rnnprop", "combined"])
@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])  # zeros: before the first step
def test_carried_values_are_read(preprocessing, scale):
    trainer, new = _trainer(preprocessing), _trainer(preprocessing)
    expected = [variable.numpy() for variable in trainer.carried]
    for variable in new.carried:
        variable.assign(tf.zeros_like(variable))
    new.load_own_variables(_old_store(trainer, scale))
    for variable, value in zip(new.carried, expected, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize("random_scale", [0.0, 1.0])
def test_config_with_random_scale_is_read(random_scale):
    config = {**_trainer().get_config(), "random_scale": random_scale}
    for name in ("loss_weights", "recompute", "horizon"):  # the oldest files have none of these
        del config[name]
    assert OptimizerTrainer.from_config(config).horizon == 100


def test_unused_means_of_several_cells():
    empty, scalar, used = np.zeros(0), np.float32(1), np.zeros(3)
    leaves = [used, empty, empty, scalar, used, scalar, empty, empty, scalar]
    left = old_files.without_unused_means(leaves)
    assert [np.shape(leaf) for leaf in left] == [(3,), (3,), ()]


def test_optimizers_of_saved_models():
    """A model trained by a cell that had empty means goes on where it was."""
    variable = keras.Variable(np.ones(SIZE))
    optimizers = [LearnedOptimizer(CoordinatewiseLSTM((4,))) for _ in range(2)]
    for optimizer in optimizers:
        optimizer.build([variable])
    optimizers[0].apply([np.ones(SIZE, "float32")], [variable])
    store = {}
    optimizers[0].save_own_variables(store)
    arrays = [store.pop(str(n)) for n in range(len(optimizers[0].variables))]
    arrays[-1:-1] = [np.zeros(0, "float32"), np.zeros(0, "float32"), np.float32(1)]
    optimizers[1].load_own_variables({**{str(n): a for n, a in enumerate(arrays)}, **store})
    for actual, expected in zip(optimizers[1].variables, optimizers[0].variables, strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("preset", ["quadratic", "mnist_mlp"])
def test_shipped_presets_are_such_files(preset):
    """They load whole: a run of their weights, not of fresh ones, minimises."""
    cell = LearnedOptimizer.from_preset(preset).cell
    assert cell.preprocessing.keeps_mean and cell.units == (20, 20)
    fresh = CoordinatewiseLSTM.from_config(cell.get_config())
    fresh.build_once()
    for ours, theirs in zip(cell.variables, fresh.variables, strict=True):
        assert np.abs(ours - theirs).max() > 1e-3
