"""Tests of the optimizer for any network in Keras' `fit`, with all that `fit` offers."""

import keras
import numpy as np
import pytest

from meta_keras.layers import CorrectedAdam
from meta_keras.optimizers import LearnedOptimizer
from tests.conformance.cells import randomized


@pytest.fixture
def data():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(48, 3)).astype("float32")
    return x, np.sin(x.sum(axis=1, keepdims=True))


def make_optimizer(**arguments):
    cell = CorrectedAdam((4,), tensor_units=3, rate=0.01, steps=40)
    cell.build_once()
    return LearnedOptimizer(randomized(cell, scale=0.1), **arguments)


def make_model(optimizer, **options):
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Dense(8, "relu"), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.compile(optimizer, "mse", **options)
    return model


def fit(model, data, batch_size=12, epochs=4, **options):
    options = {"shuffle": False, "verbose": 0, **options}
    return model.fit(*data, batch_size=batch_size, epochs=epochs, **options).history["loss"]


def weights(model):
    return [np.array(v, np.float64) for v in model.trainable_variables]


def test_accumulated_gradients_are_one_step_of_their_mean(data):
    halves = make_model(make_optimizer(gradient_accumulation_steps=2))
    whole = make_model(make_optimizer())
    fit(halves, data, 6)
    fit(whole, data, 12)
    for one, other in zip(weights(halves), weights(whole), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_moving_average_of_the_weights(data):
    """After `fit` the model has the averages, as with every optimizer of Keras."""
    averaged = make_model(make_optimizer(use_ema=True, ema_momentum=0.5))
    plain, seen = make_model(make_optimizer()), []
    fit(averaged, data, epochs=1)
    record = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(weights(plain))
    )
    fit(plain, data, epochs=1, callbacks=[record])
    assert len(seen) == 4
    for one, *steps in zip(weights(averaged), *seen, strict=True):
        expected = steps[0]
        for step in steps[1:]:
            expected = 0.5 * expected + 0.5 * step
        np.testing.assert_allclose(one, expected, atol=1e-5)
    assert max(np.abs(a - b).max() for a, b in zip(weights(averaged), seen[-1], strict=True)) > 1e-3


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(data, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = make_model(make_optimizer())
    finally:
        keras.config.set_dtype_policy(before)
    losses = fit(model, data)
    expected = fit(make_model(make_optimizer()), data)
    np.testing.assert_allclose(losses, expected, rtol=0.1)
    assert {v.dtype for v in model.trainable_variables} == {"float32"}


def test_callbacks_and_a_rate_of_zero(data):
    model = make_model(make_optimizer())
    fit(model, data, epochs=1)
    before = weights(model)
    stop = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.0)
    fit(model, data, epochs=1, callbacks=[stop])
    for one, other in zip(weights(model), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_restored_training_goes_on_bit_for_bit(data, tmp_path):
    model = make_model(make_optimizer())
    fit(model, data, epochs=2)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    fit(model, data, epochs=2)
    fit(loaded, data, epochs=2)
    for one, other in zip(weights(loaded), weights(model), strict=True):
        np.testing.assert_array_equal(one, other)
