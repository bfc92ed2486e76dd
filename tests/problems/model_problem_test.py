"""What a Keras model, a loss and data may declare to be a problem: honoured, or refused by name."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.errors import SettingError
from meta_keras.problems import ModelProblem
from tests.policy import global_policy

K = keras.layers
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(6, 3)).astype("float32"), RNG.normal(size=(6, 1)).astype("float32")
SEED, STEP = tf.constant(1, tf.int64), tf.constant(2, tf.int64)


def _model(*layers, shape=(3,), outputs=1, **kwargs):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(shape), *layers, K.Dense(outputs, **kwargs)])


def _problem(model, loss="mse", x=X, y=Y, **kwargs):
    data = tf.data.Dataset.from_tensor_slices((x, y))
    return ModelProblem(model, loss, data, batch_size=4, **kwargs)


def _value(problem):
    """The loss at the model's own weights, and the targets of its minibatch."""
    batch, loss = [], problem.loss_fn

    def recorded(y, outputs):
        batch.append(y)
        return loss(y, outputs)

    problem.loss_fn = recorded
    value = float(problem.loss(problem.flat.parameters(), SEED, STEP))
    return value, batch[0]


class Penalty(K.Layer):
    def call(self, x):
        self.add_loss(tf.reduce_sum(x**2))
        return x


class Noise(K.Layer):
    """Random without a seed generator."""

    def call(self, x):
        return x + tf.random.normal(tf.shape(x))


class Seeded(K.Layer):
    """Random with one of another name."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.generator = keras.random.SeedGenerator(3, name="mine")

    def call(self, x):
        return x + keras.random.normal(tf.shape(x), seed=self.generator)


class Counter(K.Layer):
    def build(self, shape):
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False, name="count")

    def call(self, x):
        self.count.assign_add(1.0)
        return x * self.count


class Honest(K.Layer):
    """Its weight is named like the state of random layers, and it does nothing random."""

    def build(self, shape):
        name = "seed_generator_state"
        self.scale = self.add_weight(shape=(), initializer="ones", trainable=False, name=name)

    def call(self, x):
        return x * self.scale


def _two_inputs():
    inputs = [keras.Input((3,)), keras.Input((3,))]
    return keras.Model(inputs, K.Dense(1)(K.Add()(inputs)))


def _two_outputs():
    x = keras.Input((3,))
    return keras.Model(x, [K.Dense(1)(x), K.Dense(1)(x)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: _model(Penalty(name="mine")), "add losses.*mine"),
        (lambda: _model(Noise()), "draws random"),
        (lambda: _model(Seeded(name="mine")), "draws random.*mine"),
        (lambda: _model(K.GaussianNoise(0.1)), "random"),
        (lambda: _model(Counter(name="mine")), "state that changes.*mine.*count"),
        (lambda: _model(K.SpectralNormalization(K.Dense(3))), "state that changes.*spectral"),
        (lambda: _model(kernel_constraint="non_neg", name="mine"), "constraints.*mine/kernel"),
        (lambda: _model(K.Dense(3, bias_regularizer="l2", name="mine")), "regularisers.*mine"),
        (lambda: _model(K.Dense(3, dtype="float64")), "several dtypes.*float32, float64"),
        (_two_inputs, "one input, it has 2"),
        (_two_outputs, "must have one output"),
    ],
)
def test_models_that_are_more_than_their_output_are_refused(make, message):
    with pytest.raises(ValueError, match=f"(model|network) '.*{message}"):
        _problem(make())


def test_models_are_judged_by_what_they_do():
    problem = _problem(_model(Honest()))
    assert np.isfinite(_value(problem)[0])
    _problem(_model(K.BatchNormalization()))  # Its moving statistics are of no use in training.
    frozen = K.Dense(3, kernel_constraint="non_neg", trainable=False)
    assert _problem(_model(frozen)).size == 4


@pytest.mark.parametrize("late", [False, True])
def test_trainable_flags(late):
    """Frozen before: left out. Frozen or thawed after: refused."""
    model = _model(K.Dense(5, "tanh"))
    model.layers[0].trainable = late
    problem = _problem(model)
    assert problem.size == 6 + 20 * late
    theta = problem.initial_parameters(SEED)
    assert np.isfinite(problem.loss(theta, SEED, STEP))
    model.layers[0].trainable = not late
    with pytest.raises(SettingError, match="frozen or thawed.*make a new one"):
        problem.loss(theta, SEED, STEP)


def _absolute(y, outputs):
    return tf.abs(y - outputs)


@pytest.mark.parametrize(
    "loss",
    [
        "mse",
        "mean_absolute_error",
        keras.losses.mean_squared_error,
        _absolute,
        keras.losses.Huber(),
        keras.losses.MeanSquaredError(reduction="sum"),
    ],
)
@pytest.mark.parametrize("targets", ["column", "flat", "integer"])
def test_losses_are_those_of_keras(loss, targets):
    y = {"column": Y, "flat": Y[:, 0], "integer": np.arange(6, dtype="uint8")}[targets]
    model = _model(K.Dense(4, "tanh"))
    problem = _problem(model, loss, y=y)
    value, batch = _value(problem)
    # Which examples they are is told by their targets.
    rows = [int(np.argmin(np.abs(y.reshape(-1) - t))) for t in np.ravel(batch)]
    model.compile(loss=loss)
    expected = model.evaluate(X[rows], y[rows], batch_size=4, verbose=0)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_classes_as_integers_of_every_width():
    logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    values = {
        _value(_problem(_model(outputs=3), logits, y=np.array([0, 1, 2] * 2, dtype)))[0]
        for dtype in ("uint8", "int16", "int32", "int64", "float32")
    }
    assert len(values) == 1


def test_inputs_of_integers():
    """Word numbers: the embedding's gradient is dense here, as its weights are a tensor."""
    model = _model(K.Embedding(7, 2), K.Flatten(), shape=(3,))
    problem = _problem(model, x=np.arange(18).reshape(6, 3) % 7)
    theta = problem.initial_parameters(SEED)
    with tf.GradientTape() as tape:
        tape.watch(theta)
        loss = problem.loss(theta, SEED, STEP)
    gradient = tape.gradient(loss, theta)
    assert gradient.shape == (problem.size,) and np.isfinite(gradient).all()


def test_masks_are_heeded_by_the_loss():
    words = np.array([[1, 2, 0], [3, 0, 0], [4, 5, 6]] * 2)
    model = _model(K.Embedding(7, 2, mask_zero=True), shape=(3,))
    problem = _problem(model, x=words, y=np.ones((6, 3, 1), "float32"))
    outputs = np.asarray(model(words))[..., 0]
    per_word, real = (outputs - 1) ** 2, words > 0
    draws = tf.random.stateless_uniform([4], [SEED, STEP + 1], maxval=6, dtype=tf.int32).numpy()
    expected = per_word[draws][real[draws]].mean()
    value = problem.loss(problem.flat.parameters(), SEED, STEP)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        (keras.losses.MeanSquaredError(reduction=None), Y, r"one number for a batch, not \(4,\)"),
        ("nonsense", Y, "loss='nonsense'"),
        (None, Y, "loss=None must be"),
        ("binary_crossentropy", (Y > 0) * 1, "probabilities, but .*from_logits=True"),
        (keras.losses.BinaryCrossentropy(), (Y > 0) * 1, "probabilities, but .*from_logits=True"),
        (keras.losses.binary_crossentropy, (Y > 0) * 1, "probabilities, but .*from_logits=True"),
        ("mse", np.ones((6, 2, 5)), r"y float64 \(4, 2, 5\) and outputs \(4, 1\)"),
        ("mse", np.array(["a"] * 6), "one array of numbers each, y is a string"),
        ("mse", {"a": Y}, "one array of numbers each, y is a dict"),
    ],
)
def test_losses_and_targets_that_do_not_fit_are_refused(loss, y, message):
    with pytest.raises(SettingError, match=message):
        _problem(_model(K.Dense(4)), loss, y=y)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_policies(policy):
    with global_policy(policy):
        model = _model(K.Dense(4, "tanh"), K.BatchNormalization())
        problem = _problem(model)
    exact = "float64" if policy == "float64" else "float32"
    theta = problem.initial_parameters(SEED)
    assert theta.dtype == exact
    for dtype in (tf.float32, tf.float64):  # A cell's.
        value = problem.loss(tf.cast(theta, dtype), SEED, STEP)
        assert value.dtype == dtype and np.isfinite(value)
