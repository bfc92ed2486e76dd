"""Learners that adapt with another loss than the cross-entropy: regression, several labels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras import MAML, GradientBasedLearner, LSTMMetaLearner, MetaSGD, Reptile, networks
from meta_keras.data import sinusoids
from meta_keras.layers import GradientDescentCell
from tests.learners.regression import MSE, regression_batch, small_network


class Called(keras.losses.Loss):
    def __call__(self, y_true, y_pred, sample_weight=None):
        return 0.0


def _reference(weights, x, y, loss, steps, rate, penalty=0.0):
    """Query loss after plain gradient steps on the support set, in NumPy with its derivatives."""

    def forward(w, inputs):
        hidden = np.tanh(inputs @ w[0] + w[1])
        return hidden, hidden @ w[2] + w[3]

    def gradient(w, inputs, targets):
        hidden, outputs = forward(w, inputs)
        if loss == "mse":
            error = 2 * (outputs - targets) / outputs.size
        else:  # binary cross-entropy from logits
            error = (1 / (1 + np.exp(-outputs)) - targets) / outputs.size
        back = error @ w[2].T * (1 - hidden**2)
        return [
            inputs.T @ back + 2 * penalty * w[0],
            back.sum(0),
            hidden.T @ error,
            error.sum(0),
        ]

    def value(outputs, targets):
        if loss == "mse":
            return ((outputs - targets) ** 2).mean()
        return (np.logaddexp(0, outputs) - targets * outputs).mean()

    total = 0.0
    for inputs, targets, query, answers in zip(
        x["support_images"], x["support_labels"], x["query_images"], y, strict=True
    ):
        w = [np.array(part) for part in weights]
        for _ in range(steps):
            w = [a - rate * g for a, g in zip(w, gradient(w, inputs, targets), strict=True)]
        total += value(forward(w, query)[1], answers)
    return total / len(y)


@pytest.mark.parametrize(
    ("loss", "inner"),
    [
        ("mse", MSE()),
        ("mse", "mean_squared_error"),
        ("bce", keras.losses.BinaryCrossentropy(from_logits=True)),
    ],
)
def test_meta_gradient(loss, inner):
    """Second order, two steps, vector targets: against finite differences of the NumPy run."""
    network = small_network(outputs=2)
    x, y = regression_batch(outputs=2)
    if loss == "bce":
        x["support_labels"], y = (x["support_labels"] > 0) * 1.0, (y > 0) * 1.0
    learner = MAML(
        network, GradientDescentCell(0.3, dtype="float64"), 2, inner_loss=inner, dtype="float64"
    )
    start = [v.numpy() for v in network.trainable_variables]
    with tf.GradientTape() as tape:
        outputs = learner(x, training=True)
        if loss == "mse":
            query = tf.reduce_mean(tf.math.squared_difference(outputs, y))
        else:
            query = tf.reduce_mean(
                tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.constant(y), logits=outputs)
            )
    found = tape.gradient(query, [v.value for v in network.trainable_variables])
    assert float(query) == pytest.approx(_reference(start, x, y, loss, 2, 0.3), rel=1e-6)
    for n, part in enumerate(start):
        for index in np.ndindex(part.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [p.copy() for p in start]
                moved[n][index] += step
                ends.append(_reference(moved, x, y, loss, 2, 0.3))
            numeric = (ends[0] - ends[1]) / 2e-5
            assert float(found[n][index]) == pytest.approx(numeric, rel=1e-5, abs=1e-8)


def test_regularisers_count_in_the_inner_and_the_outer_loss():
    network = small_network(dtype="float32", kernel_regularizer=keras.regularizers.L2(0.1))
    x, y = regression_batch()
    learner = MAML(network, GradientDescentCell(0.3), 2, inner_loss=MSE())
    start = [v.numpy() for v in network.trainable_variables]
    expected = _reference(start, x, y, "mse", 2, 0.3, penalty=0.1)
    assert np.mean((learner(x) - y) ** 2) == pytest.approx(expected, rel=1e-4)
    assert expected != pytest.approx(_reference(start, x, y, "mse", 2, 0.3), rel=1e-2)
    learner.compile("sgd", "mse", run_eagerly=True)
    outer = learner.test_on_batch(x, y)
    assert outer == pytest.approx(expected + 0.1 * (start[0] ** 2).sum(), rel=1e-4)


def test_adapt_save_and_load(tmp_path):
    x, y = regression_batch()
    learner = MAML(
        small_network(),
        GradientDescentCell(0.3, dtype="float64"),
        inner_loss=MSE(),
        dtype="float64",
    )
    assert learner.num_classes is None
    regressor = learner.adapt(x["support_images"][1], x["support_labels"][1])
    np.testing.assert_allclose(regressor(x["query_images"][1]), learner(x)[1], rtol=1e-6)
    learner.compile("adam", "mse", jit_compile=False)
    learner.fit(x, y, verbose=0)
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    assert isinstance(loaded.inner_loss, MSE)
    np.testing.assert_array_equal(loaded(x), learner(x))


def test_a_sum_is_a_sum():
    x, _ = regression_batch()
    cell = GradientDescentCell(0.3, dtype="float64")
    mean = MAML(small_network(), cell, inner_loss=MSE(), dtype="float64")
    cell = GradientDescentCell(0.3 / 4, dtype="float64")
    total = MAML(mean.network, cell, inner_loss=MSE("sum"), dtype="float64")
    np.testing.assert_allclose(total(x), mean(x), rtol=1e-9)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (MSE(reduction=None), "must give one number"),
        (lambda y, p: 0.0, r"must be a keras\.losses\.Loss"),
        (3, r"must be a keras\.losses\.Loss"),
        (MSE, r"must be a keras\.losses\.Loss"),
        ("mean_squared_mistake", "or the name of one of Keras', got 'mean_squared_mistake'"),
        (keras.losses.Huber(delta=0.01), "what Keras saves of it lacks an argument"),
        (Called(), "must say what it is in `call`"),
        (MSE(dtype="float16"), "has dtype='float16', and the learner computes in float32"),
        (
            keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=1),
            "has ignore_class=1",
        ),
    ],
)
def test_other_losses_are_refused(loss, message):
    with pytest.raises(ValueError, match=f"MAML: inner_loss.*{message}"):
        MAML(small_network(), inner_loss=loss)


@pytest.mark.parametrize("name", ["mse", "MSE", "mean_squared_error", "MeanSquaredError", "Huber"])
def test_every_name_of_a_loss(name):
    loss = MAML(small_network(), inner_loss=name).inner_loss
    assert isinstance(loss, keras.losses.Huber if name == "Huber" else MSE)
    loss = MAML(small_network(), inner_loss=keras.losses.mean_squared_error).inner_loss
    assert isinstance(loss, MSE)
    with pytest.raises(ValueError, match="gives no probabilities, which inner_loss='kl_div"):
        MAML(small_network(2), inner_loss=keras.losses.kl_divergence)


def test_a_loss_that_is_set_later_is_checked_as_at_first():
    logits = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    crossentropy = keras.losses.SparseCategoricalCrossentropy
    message = "gives no probabilities, which inner_loss='sparse_categorical_crossentropy' takes"
    with pytest.raises(ValueError, match=message):
        MAML(logits, inner_loss=crossentropy())
    learner = MAML(logits)
    learner.compile("adam", crossentropy(from_logits=True))
    with pytest.raises(ValueError, match=message):
        learner.inner_loss = crossentropy()
    assert learner.from_logits
    sigmoid = keras.Sequential([*logits.layers, keras.layers.Activation("sigmoid")])
    sigmoid.build((None, 6))
    with pytest.raises(ValueError, match="gives probabilities, and the inner loss takes logits"):
        MAML(sigmoid, inner_loss=keras.losses.BinaryCrossentropy(from_logits=True))
    learner = MAML(sigmoid, inner_loss="mse")
    learner.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match="takes logits, and the outputs are probabilities"):
        learner.inner_loss = "binary_crossentropy"


def test_probabilities_go_with_losses_of_probabilities():
    """A softmax in the network is refused with a loss of logits, and right with its own."""
    logits = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    softmax = keras.Sequential([*logits.layers, keras.layers.Softmax()])
    softmax.build((None, 6))
    with pytest.raises(ValueError, match=r"gives probabilities.*leave out the softmax"):
        MAML(softmax)
    crossentropy = keras.losses.SparseCategoricalCrossentropy
    learner = MAML(softmax, inner_loss=crossentropy())
    assert learner.num_classes == 3
    with pytest.raises(ValueError, match=r"takes logits, and the outputs are probabilities"):
        learner.compile("adam", crossentropy(from_logits=True))
    learner.compile("adam", "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    x = {
        "support_images": rng.normal(size=(1, 3, 6)).astype("float32"),
        "support_labels": np.array([[0, 1, 2]]),
        "query_images": rng.normal(size=(1, 4, 6)).astype("float32"),
    }
    np.testing.assert_allclose(learner(x), tf.nn.softmax(MAML(logits)(x)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", [MAML, MetaSGD, Reptile, LSTMMetaLearner])
def test_sinusoids_are_learned(method):
    """Well below the unadapted network's error, which does not know the wave."""
    keras.utils.set_random_seed(1)
    cell = {} if method is LSTMMetaLearner else {"cell": None}
    if method is Reptile:
        cell = {"cell": GradientDescentCell(0.02)}
    elif method is MAML:
        cell = {"cell": GradientDescentCell(0.01)}
    steps = 5 if method is Reptile else 1
    learner = method(networks.dense_network(1), inner_steps=steps, inner_loss=MSE(), **cell)
    optimizer = keras.optimizers.Adam(3e-3 if method is Reptile else 1e-2)
    learner.compile(optimizer, "mse", jit_compile=False)
    learner.fit(sinusoids(seed=0, count=2000, meta_batch=5), verbose=0)
    test = sinusoids(nquery=50, seed=1, count=50, meta_batch=2)
    error = learner.evaluate(test, verbose=0)
    unadapted = np.mean(
        [np.mean((learner.network(x["query_images"].reshape(-1, 1)) - y.reshape(-1, 1)) ** 2)
         for x, y in test.as_numpy_iterator()]
    )  # fmt: skip
    assert error < 0.8 * unadapted


def test_a_cell_is_told_of_the_variables():
    told = []

    class Told(GradientDescentCell):
        def prepare(self, variables):
            told.append(len(variables))

    network = small_network()
    learner = GradientBasedLearner(
        network, Told(0.1, dtype="float64"), inner_loss=MSE(), dtype="float64"
    )
    network.layers[-1].trainable = False
    learner(regression_batch()[0])
    assert told == [4, 2]
