"""The whole training step compiled with XLA: of every learner, and of what trains optimizers."""

import keras
import numpy as np
import pytest

from meta_keras import layers, optimizers, problems
from tests.conformance.cells import randomized
from tests.conformance.descriptors import with_one_step


def _update(learner, x, y, **options):
    """One update; the loss, and everything that it has changed."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner.compile(keras.optimizers.SGD(0.1), loss, **options)
    loss = learner.train_on_batch(x, y)
    return [loss, *(variable.numpy() for variable in learner.variables)]


def _assert_close(found, expected, **tolerance):
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(own, other, **tolerance)


def _assert_compiled(model):
    """Keras only warns where it does without."""
    assert model.jit_compile is True


def test_every_learner(row, make_learner, make_batch):
    x, y = make_batch()
    plain, compiled = (with_one_step(make_learner()) for _ in range(2))
    compiled.set_weights(plain.get_weights())
    expected = _update(plain, x, y, run_eagerly=True)
    _assert_close(_update(compiled, x, y, jit_compile=True), expected, rtol=1e-3, atol=1e-4)
    _assert_compiled(compiled)


def test_mixed_precision(row, make_learner, make_batch):
    """Networks in bfloat16: a step of the same size as in single precision, not the same one."""
    row.has_a_loop()
    x, y = make_batch()
    learner, single = with_one_step(make_learner("mixed_bfloat16")), with_one_step(make_learner())
    loss, *found = _update(learner, x, y, jit_compile=True)
    assert loss == pytest.approx(_update(single, x, y, run_eagerly=True)[0], rel=0.1)
    assert all(value.dtype == "float32" and np.isfinite(value).all() for value in found)
    _assert_compiled(learner)


def _trainer(**options):
    keras.utils.set_random_seed(0)
    trainer = optimizers.OptimizerTrainer(
        layers.CoordinatewiseLSTM((3,)),
        problems.RandomlyScaled(problems.Quadratic(dimensions=2, batch=2), 0.5),
        unroll_steps=2,
        second_order=True,
        horizon=4,
    )
    randomized(trainer.cell)
    trainer.compile(keras.optimizers.SGD(0.1), **options)
    trainer.fit(
        optimizers.truncations(2, 4, 2),
        validation_data=optimizers.validation_optimizations([-1]),
        verbose=0,
    )
    return trainer, [*trainer.cell.get_weights(), *trainer.get_weights(), trainer.curve.mean]


def test_optimizer_trainer():
    """In training and validation; the draws of a problem are the same with XLA and without."""
    (compiled, found), (_, expected) = _trainer(jit_compile=True), _trainer(run_eagerly=True)
    _assert_close(found, expected, rtol=1e-3, atol=1e-5)
    _assert_compiled(compiled)


def _task_trainer(gradient, unroll_steps, **options):
    cell = layers.CorrectedAdam((2,), tensor_units=2)
    cell.build_once()
    trainer = optimizers.TaskSetTrainer(
        randomized(cell, 0.1),
        {"quadratic": problems.Quadratic(dimensions=2, batch=2)},
        unroll_steps=unroll_steps,
        gradient=gradient,
        pairs=1,
    )
    trainer.compile(keras.optimizers.SGD(0.1), **options)
    trainer.fit(optimizers.task_truncations(1, 2, (2, 4), unroll_steps), verbose=0)
    return trainer, [*trainer.cell.get_weights(), *trainer.get_weights()]


@pytest.mark.parametrize(("gradient", "unroll_steps"), [("backpropagation", 2), ("pes", None)])
def test_task_set_trainer(gradient, unroll_steps):
    """Truncations, and whole optimizations whose length is known in the step only."""
    compiled, found = _task_trainer(gradient, unroll_steps, jit_compile=True)
    _, expected = _task_trainer(gradient, unroll_steps, jit_compile=False)
    _assert_close(found, expected, rtol=1e-3, atol=1e-5)
    _assert_compiled(compiled)
