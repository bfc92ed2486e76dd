"""Tests of what metric learners have in common, in double precision where it is mathematics."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.data.episodes import episodes
from meta_keras.learners import (
    BalancedPairsLoss,
    MatchingNetwork,
    PrototypicalNetwork,
    RelationNetwork,
    SiameseNetwork,
)
from tests.conformance.descriptors import METRIC_LEARNERS, parts  # noqa: F401

ROWS = {row.name: row for row in METRIC_LEARNERS}


@pytest.fixture
def make_learner(parts):  # noqa: F811
    """Function that builds a learner by its name in `ROWS`, the same one every time."""

    def make(name, dtype="float32", **kwargs):
        return ROWS[name].build(parts, dtype, **kwargs)

    return make


@pytest.fixture
def make_batch(make_episodes):
    def make(batch=1, dtype="float32", **kwargs):
        return make_episodes(batch, dtype=dtype, **kwargs)

    return make


def _support(x, episode=0):
    return x["support_images"][episode], x["support_labels"][episode]


def _compile(learner, optimizer=None, **kwargs):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner.compile(optimizer or keras.optimizers.Adam(0.02), loss, metrics=["accuracy"], **kwargs)
    return learner


def test_xla_for_any_number_of_classes(make_learner, make_batch):
    """Another one in every episode of a data set, in training and in validation."""
    batches = [make_batch(classes=classes, seed=classes) for classes in (3, 5)]
    kinds = tf.nest.map_structure(
        lambda part: tf.TensorSpec([1, None, *part.shape[2:]], part.dtype), batches[0]
    )
    data = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=kinds)
    losses = []
    for options in ({"run_eagerly": True}, {"jit_compile": True}):
        learner = _compile(make_learner("euclidean"), keras.optimizers.SGD(0.1), **options)
        history = learner.fit(data, validation_data=data, verbose=0).history
        losses.append([history["loss"], history["val_loss"]])
        x, _ = batches[1]
        losses[-1].append(learner.predict(x, verbose=0).mean())
    assert learner.jit_compile is True
    for found, expected in zip(*losses, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_xla_only_if_asked_for(make_learner):
    assert not make_learner("euclidean").jit_compile
    assert not _compile(make_learner("euclidean")).jit_compile


@pytest.mark.parametrize("name", ["euclidean", "matching", "relation", "siamese"])
def test_moving_statistics(make_learner, make_batch, name):
    """Updated by training, from support and query of one episode after the other."""
    x, y = make_batch(2, "float64")
    learner = make_learner(name, "float64")
    norm = learner.embedding.get_layer("norm")
    mean, variance = norm.moving_mean.numpy(), norm.moving_variance.numpy()
    conv = keras.Model(learner.embedding.input, norm.input)
    for k in range(2):
        images = np.concatenate([x["support_images"][k], x["query_images"][k]])
        features = np.array(conv(images)).reshape(-1, norm.moving_mean.shape[0])
        mean = 0.6 * mean + 0.4 * features.mean(0)
        variance = 0.6 * variance + 0.4 * features.var(0)
    _compile(learner, keras.optimizers.SGD(0.0), run_eagerly=True).train_on_batch(x, y)
    np.testing.assert_allclose(norm.moving_mean, mean, rtol=1e-6)
    np.testing.assert_allclose(norm.moving_variance, variance, rtol=1e-6)


@pytest.mark.parametrize("name", ROWS)
def test_gradient(make_learner, make_batch, name):
    """The training gradient, batch statistics included, against central differences."""
    x, y = make_batch(2, "float64")
    learner = make_learner(name, "float64")

    @tf.function
    def loss():
        log_probabilities = tf.nn.log_softmax(learner(x, training=True))
        return -tf.reduce_mean(tf.gather(log_probabilities, y, axis=2, batch_dims=2))

    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, learner.trainable_variables)
    rng = np.random.default_rng(2)
    for variable, gradient in zip(learner.trainable_variables, gradients, strict=True):
        start, direction = variable.numpy(), rng.normal(size=variable.shape)
        sides = []
        for step in (1e-5, -1e-5):
            variable.assign(start + step * direction)
            sides.append(float(loss()))
        variable.assign(start)
        expected = (sides[0] - sides[1]) / 2e-5
        actual = np.sum(direction * gradient.numpy())
        assert actual == pytest.approx(expected, rel=1e-5, abs=1e-9), variable.path


@pytest.mark.parametrize("name", ROWS)
def test_adapt_to_classes_of_unequal_size(make_learner, make_batch, name):
    """A class's second picture may be missing: the others' are not counted for it."""
    x, _ = make_batch(dtype="float64")
    learner = make_learner(name, "float64")
    images, labels = _support(x)
    some = [0, 1, 2, 4, 5]  # class 1 has one picture
    unequal = np.array(learner.adapt(list(images[some]), labels[some])(x["query_images"][0]))
    assert unequal.shape == (6, 3)
    assert np.isfinite(unequal).all()
    # There all classes share the attention, the centre, the ridge regression.
    if name not in ("matching", "full_context", "simple_shot", "r2d2"):
        np.testing.assert_allclose(unequal[:, [0, 2]], learner(x)[0].numpy()[:, [0, 2]], atol=1e-12)


@pytest.mark.parametrize("name", ["euclidean", "matching", "siamese"])
def test_fit_with_more_classes_than_test(make_learner, name):
    rng = np.random.default_rng(0)
    drawings = 160 * rng.integers(0, 2, (8, 1, 6, 6)) + rng.integers(0, 90, (8, 8, 6, 6))
    drawings = drawings.astype("uint8")
    learner = make_learner(name)
    _compile(learner, keras.optimizers.Adam(0.01))
    if name == "siamese":
        learner.compile(learner.optimizer, BalancedPairsLoss(), metrics=["accuracy"])
    test = episodes(drawings, 3, 2, 3, seed=1, count=20, meta_batch=4)
    before = learner.evaluate(test, return_dict=True, verbose=0)
    training = episodes(drawings, 6, 1, 3, seed=0, count=150)
    history = learner.fit(training, validation_data=test, verbose=0).history
    after = learner.evaluate(test, return_dict=True, verbose=0)
    assert after["loss"] < before["loss"]
    assert after["accuracy"] > 0.5
    assert history["val_accuracy"] == [after["accuracy"]]


@pytest.mark.parametrize("name", ROWS)
def test_without_batch_normalisation(make_learner, make_batch, name):
    """Then training and test are the same, unless another network has it."""
    x, _ = make_batch(2, "float64")
    learner = make_learner(name, "float64", batch_norm=False)
    difference = np.abs(learner(x) - learner(x, training=True)).max()
    assert (difference > 1e-6) if name == "relation" else (difference == 0)


def test_embedding_must_be_built():
    network = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)], name="unready")
    for learner in (PrototypicalNetwork, MatchingNetwork, SiameseNetwork):
        with pytest.raises(ValueError, match=f"{learner.__name__}: .*'unready' is not built"):
            learner(network)


class _Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = [keras.layers.Flatten(), keras.layers.Dense(3)]

    def call(self, x):
        for layer in self.hidden:
            x = layer(x)
        return x


def test_any_built_network_will_do(make_batch):
    x, y = make_batch(2)
    network = _Subclassed()
    network(x["support_images"][0])
    for learner in (PrototypicalNetwork(network), MatchingNetwork(network)):
        _compile(learner, run_eagerly=True).train_on_batch(x, y)
        assert learner(x).shape == (2, 6, 3)
        with pytest.raises(ValueError, match=r"\(_Subclassed\).*register_keras_serializable"):
            learner.adapt(x["support_images"][0], x["support_labels"][0])
    with pytest.raises(ValueError, match="must be a functional or sequential model"):
        SiameseNetwork(network)
    with pytest.raises(ValueError, match="must map images to feature maps"):
        RelationNetwork(network, network)
