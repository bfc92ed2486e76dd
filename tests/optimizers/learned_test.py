"""Tests of a trained cell as an ordinary Keras optimizer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.errors import SettingError
from meta_keras.layers import (
    GatedLSTMCell,
    GradientDescentCell,
    MetaSGDCell,
)
from meta_keras.optimizers import LearnedOptimizer
from meta_keras.unroll import unroll
from tests.policy import global_policy


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


def test_eagerly_and_as_a_graph(cell, data):
    expected = _fit(_model(LearnedOptimizer(cell)), data, 4)
    losses = _fit(_model(LearnedOptimizer(cell), run_eagerly=True), data, 4)
    np.testing.assert_allclose(losses, expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ({}, {"run_eagerly": True}),
        ({}, {}),
        ({"gradient_accumulation_steps": 2}, {}),
    ],
)
def test_embeddings_learn_as_dense_layers_of_their_one_hot_inputs(cell, arguments, options):
    rng = np.random.default_rng(0)
    words, y = rng.integers(0, 10, (8, 1)), rng.normal(size=(8, 1)).astype(np.float32)
    start, losses = rng.normal(size=(10, 2)), []
    for first, x in (
        (keras.layers.Embedding(10, 2), words),
        (keras.layers.Dense(2, use_bias=False), np.eye(10)[words]),
    ):
        model = keras.Sequential(
            [keras.Input(x.shape[1:]), first, keras.layers.Flatten(), keras.layers.Dense(1)]
        )
        first.set_weights([start])
        model.layers[-1].set_weights([np.ones((2, 1)), np.zeros(1)])
        model.compile(LearnedOptimizer(cell, **arguments), "mse", **options)
        fit = model.fit(x, y, batch_size=2, epochs=3, shuffle=False, verbose=0)
        losses.append(fit.history["loss"])
    assert losses[0][0] != losses[0][-1]
    np.testing.assert_allclose(*losses, rtol=1e-4)


def _tiny_model():
    """Two weights and a bias, all of one: a step of gradient descent is easily worked out."""
    dense = keras.layers.Dense(1, kernel_initializer="ones", bias_initializer="ones")
    return keras.Sequential([keras.Input((2,)), dense])


def _fit_tiny(model, epochs=1, **kwargs):
    data = np.array([[1.0, 0.0]], "float32"), np.zeros((1, 1), "float32")
    return model.fit(*data, epochs=epochs, verbose=0, **kwargs).history["loss"]


def test_callbacks_set_the_learning_rate():
    """Of the squared error (w + b)^2 with w = b = s/2, a step r * 0.1 divides s by 1 - 0.4 r."""
    model, rates = _tiny_model(), [1.0, 0.5, 2.0, 0.0]
    model.compile(LearnedOptimizer(GradientDescentCell(0.1)), "mse")
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rates[epoch])
    losses = _fit_tiny(model, 4, callbacks=[scheduler])
    sums = 2 * np.cumprod([1.0, *(1 - 0.4 * np.array(rates[:3]))])
    np.testing.assert_allclose(losses, sums**2, rtol=1e-5)
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=0, min_delta=9)
    model.optimizer.learning_rate = 1.0
    _fit_tiny(model, 3, callbacks=[plateau])
    assert float(model.optimizer.learning_rate) == 0.25


def test_a_schedule_is_saved_with_it(tmp_path):
    rates = keras.optimizers.schedules.PiecewiseConstantDecay([1, 2], [1.0, 0.5, 2.0])
    model = _tiny_model()
    model.compile(LearnedOptimizer(GradientDescentCell(0.1), learning_rate=rates), "mse")
    sums = 2 * np.cumprod([1.0, 0.6, 0.6, 0.8, 0.2])
    np.testing.assert_allclose(_fit_tiny(model, 3), sums[:3] ** 2, rtol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(_fit_tiny(loaded, 2), sums[3:] ** 2, rtol=1e-5)
    with pytest.raises(SettingError, match="learning_rate=.*set too late"):
        model.optimizer.learning_rate = rates


def test_loss_scaling_of_keras_changes_nothing(cell, data):
    """As `compile` puts it around the optimizer under mixed_float16; the scale is a power of 2."""
    scaled = _model(keras.optimizers.LossScaleOptimizer(LearnedOptimizer(cell)))
    plain = _model(LearnedOptimizer(cell))
    np.testing.assert_allclose(_fit(scaled, data, 4), _fit(plain, data, 4), rtol=1e-5)
    scaled.optimizer.learning_rate = 0.0
    before = scaled.get_weights()[0]
    _fit(scaled, data, 1)
    np.testing.assert_array_equal(scaled.get_weights()[0], before)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_networks_of_any_precision(data, policy):
    with global_policy(policy):
        learned = _model(LearnedOptimizer(GradientDescentCell(0.1)))
        sgd = _model(keras.optimizers.SGD(0.1))
        losses = _fit(learned, data, 5)
        np.testing.assert_allclose(losses, _fit(sgd, data, 5), rtol=1e-3)
    exact = "float64" if policy == "float64" else "float32"
    assert {variable.dtype for variable in learned.trainable_variables} == {exact}
    if policy == "float64":
        for actual, expected in zip(learned.get_weights(), sgd.get_weights(), strict=True):
            np.testing.assert_allclose(actual, expected, rtol=1e-10)


def test_a_float64_weight_keeps_its_digits(data):
    """Whatever of it a float32 cell has not moved."""
    variable = keras.Variable(np.array([1.0 + 1e-12, 2.0 - 1e-12]), dtype="float64")
    optimizer = LearnedOptimizer(GradientDescentCell(0.5, dtype="float32"))
    optimizer.apply([tf.constant([1.0, 0.0], tf.float64)], [variable])
    np.testing.assert_allclose(variable.numpy(), [0.5 + 1e-12, 2.0 - 1e-12], rtol=1e-15)


def test_constraints_are_applied_after_the_step(cell, data):
    dense = keras.layers.Dense(4, kernel_constraint=keras.constraints.UnitNorm())
    model = keras.Sequential([keras.Input((3,)), dense, keras.layers.Dense(1)])
    model.compile(LearnedOptimizer(cell), "mse")
    _fit(model, data, 2)
    np.testing.assert_allclose(np.linalg.norm(dense.kernel.numpy(), axis=0), 1.0, rtol=1e-5)


def test_a_layer_frozen_later_stays(cell, data):
    """The optimizer is reused, and the layer thawed again, as with Adam."""
    model = _model(LearnedOptimizer(cell))
    _fit(model, data, 1)
    for frozen in (True, False):
        model.layers[0].trainable = not frozen
        model.compile(model.optimizer, "mse")
        before = model.layers[0].kernel.numpy()
        _fit(model, data, 2)
        assert np.array_equal(model.layers[0].kernel.numpy(), before) == frozen


def test_a_layer_thawed_later(cell, data):
    """Refused with two ways out; the second is that of the test above."""
    model = _model(LearnedOptimizer(cell))
    model.layers[0].trainable = False
    model.compile(model.optimizer, "mse")
    _fit(model, data, 1)
    model.layers[0].trainable = True
    model.compile(model.optimizer, "mse")
    with pytest.raises(SettingError, match=r"not built for.*new optimizer.*optimizer\.build"):
        _fit(model, data, 1)


def test_a_variable_that_is_overwritten_with_its_gradient(cell):
    """As float8 training does with its scales."""
    weight, scale = keras.Variable([1.0, 2.0]), keras.Variable([5.0])
    scale.overwrite_with_gradient = True
    LearnedOptimizer(cell).apply([tf.constant([0.5, 0.5]), tf.constant([7.0])], [weight, scale])
    np.testing.assert_array_equal(scale.numpy(), [7.0])
    assert np.abs(weight.numpy() - [1.0, 2.0]).min() > 1e-4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (GatedLSTMCell, "cell=<GatedLSTMCell.*look at the loss"),
        (MetaSGDCell, "cell=<MetaSGDCell.*weights for every coordinate"),
        (lambda: "adam", "cell='adam' must be a meta_keras.layers.Cell"),
    ],
)
def test_cells_that_cannot_be_used(make, message):
    optimizer = LearnedOptimizer(GradientDescentCell(0.5))
    with pytest.raises(SettingError, match=message):
        LearnedOptimizer(make())
    with pytest.raises(SettingError, match=message):
        optimizer.cell = make()
    assert type(optimizer.cell) is GradientDescentCell


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


def test_gradient_accumulation(data):
    """Two half steps of accumulated gradients are one step of their mean."""
    learned = _model(LearnedOptimizer(GradientDescentCell(0.1), gradient_accumulation_steps=2))
    sgd = _model(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2))
    np.testing.assert_allclose(_fit(learned, data, 6), _fit(sgd, data, 6), rtol=1e-5)
