"""Tests of a trained cell as an ordinary Keras optimizer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras import LSTMMetaLearner
from meta_keras.layers import (
    CoordinatewiseLSTM,
    GradientDescentCell,
    GroupedCell,
    is_convolution_kernel,
)
from meta_keras.networks import conv4
from meta_keras.optimizers import LearnedOptimizer
from meta_keras.presets import PresetError
from meta_keras.unroll import unroll


@pytest.fixture
def cell():
    """A cell whose weights are not those it starts with."""
    cell = CoordinatewiseLSTM((4,), "rnnprop", output_scale=0.05)
    cell.build((None,))
    cell.built = True
    rng = np.random.default_rng(0)
    for variable in cell.trainable_variables:
        variable.assign(rng.normal(scale=0.5, size=variable.shape))
    return cell


@pytest.fixture
def data():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 3)).astype("float32")
    return x, np.sin(x.sum(axis=1, keepdims=True))


def _model(optimizer, **kwargs):
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Dense(5, "tanh"), keras.layers.BatchNormalization()]
    model = keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(1)])
    model.compile(optimizer, "mse", **kwargs)
    return model


def _fit(model, data, steps):
    """Training step after step on the same batch; the losses."""
    history = model.fit(*data, epochs=steps, batch_size=len(data[0]), shuffle=False, verbose=0)
    return history.history["loss"]


def _weights(model):
    return [variable.numpy() for variable in [*model.variables, *model.optimizer.variables]]


def test_it_does_what_the_unrolled_cell_does(cell, data):
    model = _model(LearnedOptimizer(cell))
    x, y = map(tf.constant, data)
    variables = model.trainable_variables
    sizes = [int(tf.size(v)) for v in variables]
    start = tf.concat([tf.reshape(v, [-1]) for v in variables], 0)
    state = [tf.convert_to_tensor(v) for v in model.non_trainable_variables]

    def loss_fn(theta, step, carry):
        parts = [
            tf.reshape(part, v.shape)
            for part, v in zip(tf.split(theta, sizes), variables, strict=True)
        ]
        outputs, _ = model.stateless_call(parts, state, x, training=True)
        return tf.reduce_mean(tf.square(outputs - y)), carry

    run = unroll(cell, loss_fn, start, 4)
    losses = _fit(model, data, 4)
    np.testing.assert_allclose(losses, run.losses, rtol=1e-4)
    after = tf.concat([tf.reshape(v, [-1]) for v in variables], 0)
    np.testing.assert_allclose(after, run.parameters, rtol=1e-3, atol=1e-5)
    assert np.abs(after - start).max() > 1e-2


def test_gradient_descent_as_a_cell_is_sgd(data):
    learned = _model(LearnedOptimizer(GradientDescentCell(0.1)))
    sgd = _model(keras.optimizers.SGD(0.1))
    np.testing.assert_allclose(_fit(learned, data, 5), _fit(sgd, data, 5), rtol=1e-5)


@pytest.mark.parametrize("kwargs", [{"run_eagerly": True}, {"jit_compile": True}])
def test_modes_of_running(cell, data, kwargs):
    expected = _fit(_model(LearnedOptimizer(cell)), data, 4)
    losses = _fit(_model(LearnedOptimizer(cell), **kwargs), data, 4)
    np.testing.assert_allclose(losses, expected, rtol=1e-3)


def test_sparse_gradients_are_refused(cell):
    layers = [keras.layers.Embedding(10, 2), keras.layers.Flatten(), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.compile(LearnedOptimizer(cell), "mse", run_eagerly=True)
    with pytest.raises(ValueError, match=r"embeddings is sparse.*only dense"):
        model.fit(np.zeros((2, 3)), np.zeros((2, 1)), verbose=0)


def test_a_missing_gradient_is_named(cell):
    model = _model(LearnedOptimizer(cell))
    optimizer, variables = model.optimizer, model.trainable_variables
    optimizer.build(variables)
    gradients = [tf.ones_like(v) for v in variables]
    with pytest.raises(ValueError, match=f"no gradient for {variables[1].path}"):
        optimizer.apply([None if i == 1 else g for i, g in enumerate(gradients)], variables)


def test_order_of_variables_does_not_matter(cell, data):
    """Every coordinate keeps its own state when gradients come in another order."""
    expected, model = _model(LearnedOptimizer(cell)), _model(LearnedOptimizer(cell))
    rng = np.random.default_rng(2)
    for m in (expected, model):
        m.optimizer.build(m.trainable_variables)
    for order in (1, -1, 1, -1):
        gradients = [rng.normal(size=v.shape).astype("float32") for v in model.trainable_variables]
        expected.optimizer.apply(gradients, expected.trainable_variables)
        model.optimizer.apply(gradients[::order], model.trainable_variables[::order])
    for actual, value in zip(_weights(model), _weights(expected), strict=True):
        np.testing.assert_array_equal(actual, value)


def test_several_replicas_are_refused(cell, data, monkeypatch):
    model = _model(LearnedOptimizer(cell))
    variables = model.trainable_variables
    model.optimizer.build(variables)
    strategy = type("Strategy", (), {"num_replicas_in_sync": 2})
    monkeypatch.setattr(tf.distribute, "get_strategy", strategy)
    with pytest.raises(ValueError, match="one replica only.* has 2"):
        model.optimizer.apply([tf.ones_like(v) for v in variables], variables)


def test_gradient_accumulation(data):
    """Two half steps of accumulated gradients are one step of their mean."""
    learned = _model(LearnedOptimizer(GradientDescentCell(0.1), gradient_accumulation_steps=2))
    sgd = _model(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2))
    np.testing.assert_allclose(_fit(learned, data, 6), _fit(sgd, data, 6), rtol=1e-5)


def test_preset_of_a_grouped_cell(cell, tmp_path):
    """Whether or not it was prepared for variables before; in use it is prepared for its own."""
    grouped = GroupedCell([CoordinatewiseLSTM((3,)), cell], [is_convolution_kernel])

    def step(optimizer):
        variables = [keras.Variable(np.ones(shape)) for shape in ((3, 1, 2), (4,))]
        optimizer.apply([np.full(v.shape, 0.5, "float32") for v in variables], variables)
        return [variable.numpy() for variable in variables]

    LearnedOptimizer(grouped).save_to_preset(tmp_path / "new")
    expected = step(LearnedOptimizer(grouped))
    LearnedOptimizer(grouped).save_to_preset(tmp_path / "prepared")
    for name in ("new", "prepared"):
        loaded = LearnedOptimizer.from_preset(tmp_path / name)
        for actual, variable in zip(loaded.cell.variables, grouped.variables, strict=True):
            np.testing.assert_array_equal(actual, variable)
        for actual, value in zip(step(loaded), expected, strict=True):
            np.testing.assert_array_equal(actual, value)


def test_preset_of_something_else(tmp_path):
    LSTMMetaLearner(conv4(5, filters=2)).save_to_preset(tmp_path / "learner")
    with pytest.raises(PresetError, match="holds a LSTMMetaLearner, not an optimizer"):
        LearnedOptimizer.from_preset(tmp_path / "learner")
