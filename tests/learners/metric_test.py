"""Tests of what every metric learner promises, in double precision where it is mathematics."""

import json
import subprocess
import sys

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

LEARNERS = ["euclidean", "cosine", "matching", "full_context", "relation", "siamese"]


@pytest.fixture
def make_learner(make_embedding, make_relation):
    """Function that builds a learner by its name in `LEARNERS`, the same one every time."""

    def make(name, dtype="float32", batch_norm=True):
        vectors = make_embedding(dtype=dtype, batch_norm=batch_norm)
        if name in ("euclidean", "cosine"):
            return PrototypicalNetwork(vectors, name, temperature=0.6, dtype=dtype)
        if name == "matching":
            return MatchingNetwork(vectors, temperature=0.6, dtype=dtype)
        if name == "full_context":
            return MatchingNetwork(vectors, full_context=True, read_steps=2, dtype=dtype)
        if name == "relation":
            maps = make_embedding(dtype=dtype, batch_norm=batch_norm, maps=True)
            return RelationNetwork(maps, make_relation(dtype=dtype), dtype=dtype)
        learner = SiameseNetwork(vectors, dtype=dtype)
        learner.comparison.kernel.assign(np.random.default_rng(4).normal(size=(4, 1)))
        return learner

    return make


@pytest.fixture
def make_batch(make_episodes):
    def make(batch=1, dtype="float32", **kwargs):
        return make_episodes(batch, dtype=dtype, **kwargs)

    return make


def _take(x, *places):
    return {name: value[list(places)] for name, value in x.items()}


def _support(x, episode=0):
    return x["support_images"][episode], x["support_labels"][episode]


def _compile(learner, optimizer=None, **kwargs):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner.compile(optimizer or keras.optimizers.Adam(0.02), loss, metrics=["accuracy"], **kwargs)
    return learner


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_names_of_the_classes_do_not_matter(make_learner, make_batch, name, classes):
    x, _ = make_batch(2, "float64", classes=classes)
    learner = make_learner(name, "float64")
    logits = np.array(learner(x))
    assert logits.shape == (2, 2 * classes, classes)
    order = np.random.default_rng(1).permutation(classes)
    renamed = {**x, "support_labels": np.argsort(order).astype("int32")[x["support_labels"]]}
    np.testing.assert_allclose(learner(renamed), logits[..., order], atol=1e-12)
    assert np.ptp(logits, axis=-1).min() > 1e-6


@pytest.mark.parametrize("name", LEARNERS)
def test_order_of_the_pictures_does_not_matter(make_learner, make_batch, name):
    """Support pictures with their labels, and query pictures; but an LSTM sees an order."""
    x, _ = make_batch(dtype="float64")
    learner = make_learner(name, "float64")
    rng = np.random.default_rng(0)
    support, query = rng.permutation(6), rng.permutation(6)
    shuffled = {
        "support_images": x["support_images"][:, support],
        "support_labels": x["support_labels"][:, support],
        "query_images": x["query_images"][:, query],
    }
    difference = np.abs(learner(shuffled) - np.array(learner(x))[:, query]).max()
    assert (difference > 1e-6) if name == "full_context" else (difference < 1e-12)


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("training", [False, True])
def test_episodes_are_independent(make_learner, make_batch, name, training):
    x, _ = make_batch(3)
    learner = make_learner(name)
    state = [np.array(v) for v in learner.non_trainable_variables]

    def logits(x):
        result = np.array(learner(x, training=training))
        for variable, value in zip(learner.non_trainable_variables, state, strict=True):
            variable.assign(value)
        return result

    together = logits(x)
    alone = [logits(_take(x, k))[0] for k in range(3)]
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    changed = {name: value.copy() for name, value in x.items()}
    for name, value in make_batch(3, seed=1)[0].items():
        changed[name][1] = value[1]
    np.testing.assert_array_equal(logits(changed)[[0, 2]], together[[0, 2]])
    assert np.abs(logits(changed)[1] - together[1]).max() > 1e-3


@pytest.mark.parametrize("name", LEARNERS)
def test_query_pictures_are_independent_at_test(make_learner, make_batch, name):
    x, _ = make_batch(dtype="float64")
    learner = make_learner(name, "float64")
    assert learner.is_transductive() is False
    first = {**x, "query_images": x["query_images"][:, :1]}
    np.testing.assert_allclose(learner(first)[:, :1], learner(x)[:, :1], atol=1e-12)
    # In training they are not: the statistics are those of all pictures of the episode.
    difference = learner(first, training=True)[:, :1] - learner(x, training=True)[:, :1]
    assert np.abs(difference).max() > 1e-6


@pytest.mark.parametrize("name", ["euclidean", "matching", "relation", "siamese"])
def test_moving_statistics(make_learner, make_batch, name):
    """Updated by training, from support and query of one episode after the other; else never."""
    x, y = make_batch(2, "float64")
    learner = make_learner(name, "float64")
    norm = learner.embedding.get_layer("norm")
    before = norm.moving_mean.numpy(), norm.moving_variance.numpy()
    weights = [np.array(v) for v in learner.non_trainable_variables]
    learner(x)
    _compile(learner).evaluate(x, y, verbose=0)
    learner.meta_gradient(x, y)
    learner.adapt(*_support(x))(x["query_images"][0])
    for variable, value in zip(learner.non_trainable_variables, weights, strict=True):
        np.testing.assert_array_equal(variable, value)

    mean, variance = before
    conv = keras.Model(learner.embedding.input, norm.input)
    for k in range(2):
        images = np.concatenate([x["support_images"][k], x["query_images"][k]])
        features = np.array(conv(images)).reshape(-1, norm.moving_mean.shape[0])
        mean = 0.6 * mean + 0.4 * features.mean(0)
        variance = 0.6 * variance + 0.4 * features.var(0)
    _compile(learner, keras.optimizers.SGD(0.0)).train_on_batch(x, y)
    np.testing.assert_allclose(norm.moving_mean, mean, rtol=1e-6)
    np.testing.assert_allclose(norm.moving_variance, variance, rtol=1e-6)


@pytest.mark.parametrize("name", LEARNERS)
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


@pytest.mark.parametrize("name", LEARNERS)
def test_save_and_load(make_learner, make_batch, tmp_path, name):
    x, y = make_batch(2)
    learner = _compile(make_learner(name), run_eagerly=True)
    learner.train_on_batch(x, y)
    learner.save(tmp_path / "learner.keras")
    keras.utils.set_random_seed(99)
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    assert type(loaded) is type(learner)
    as_json = json.loads(json.dumps(learner.get_config()))  # tuples come back as lists
    assert json.loads(json.dumps(loaded.get_config())) == as_json
    np.testing.assert_array_equal(
        loaded.predict(x, verbose=0), learner.predict(x, verbose=0), strict=True
    )
    for one in (loaded, learner):
        one.train_on_batch(x, y)
    for own, other in zip(loaded.variables, learner.variables, strict=True):
        np.testing.assert_array_equal(own, other)
    configs = [type(learner).from_config(config) for config in [learner.get_config()] * 2]
    assert configs[0].get_config() == learner.get_config()


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("kshot", [1, 2])
def test_adapted_classifier_gives_the_learners_logits(make_learner, make_batch, name, kshot):
    x, y = make_batch(2, "float64", kshot=kshot)
    learner = make_learner(name, "float64")
    expected = np.array(learner(x))
    classifiers = [learner.adapt(*_support(x, k)) for k in range(2)]
    # What the classifiers hold is their own.
    _compile(learner, run_eagerly=True).train_on_batch(x, y)
    for k, classifier in enumerate(classifiers):
        np.testing.assert_allclose(classifier(x["query_images"][k]), expected[k], atol=1e-12)
        one_by_one = [classifier(image[None])[0] for image in x["query_images"][k]]
        np.testing.assert_allclose(one_by_one, expected[k], atol=1e-12)
    assert np.abs(learner(x) - expected).max() > 1e-3


LOAD_AND_PREDICT = """
import sys
import keras
import numpy as np

images = np.load("images.npy")
for name in sys.argv[1:]:
    classifier = keras.models.load_model(f"{name}.keras")
    np.save(f"{name}.npy", classifier.predict(images, verbose=0))
assert "meta_keras" not in sys.modules
"""


def test_adapted_classifier_lives_without_the_package(
    make_learner, make_batch, tmp_path, environment
):
    x, _ = make_batch()
    images = x["query_images"][0]
    np.save(tmp_path / "images.npy", images)
    expected = {}
    for name in LEARNERS:
        classifier = make_learner(name).adapt(*_support(x))
        classifier.save(tmp_path / f"{name}.keras")
        expected[name] = classifier.predict(images, verbose=0)
    command = [sys.executable, "-c", LOAD_AND_PREDICT, *LEARNERS]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    for name, logits in expected.items():
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), logits)


@pytest.mark.parametrize("name", LEARNERS)
def test_adapt_to_classes_of_unequal_size(make_learner, make_batch, name):
    """A class's second picture may be missing: the others' are not counted for it."""
    x, _ = make_batch(dtype="float64")
    learner = make_learner(name, "float64")
    images, labels = _support(x)
    some = [0, 1, 2, 4, 5]  # class 1 has one picture
    unequal = np.array(learner.adapt(list(images[some]), labels[some])(x["query_images"][0]))
    assert unequal.shape == (6, 3)
    assert np.isfinite(unequal).all()
    if name not in ("matching", "full_context"):  # there all classes share the attention
        np.testing.assert_allclose(unequal[:, [0, 2]], learner(x)[0].numpy()[:, [0, 2]], atol=1e-12)


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 0, 1], "shape"), ([0, 0, 2, 2, 2, 0], "0 to 2"), ([-1, 0, 1, 0, 1, 0], "got \\[-1")],
)
def test_adapt_refuses_bad_labels(make_learner, make_batch, labels, message):
    x, _ = make_batch()
    with pytest.raises(ValueError, match=message):
        make_learner("euclidean").adapt(x["support_images"][0], np.array(labels))


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


def test_unknown_batch_size(make_learner, make_batch):
    learner = _compile(make_learner("relation"))
    x, y = make_batch(5)
    expected = np.array(learner(x))
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(2)
    assert dataset.element_spec[1].shape[0] is None
    np.testing.assert_allclose(learner.predict(dataset, verbose=0), expected, rtol=1e-4, atol=1e-5)
    before = [np.array(v) for v in learner.variables]
    learner.fit(dataset, verbose=0)
    changed = [not np.array_equal(v, b) for v, b in zip(learner.variables, before, strict=True)]
    assert sum(changed) >= len(learner.embedding.variables)


@pytest.mark.parametrize("name", LEARNERS)
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
        _compile(learner).train_on_batch(x, y)
        assert learner(x).shape == (2, 6, 3)
        with pytest.raises(ValueError, match=r"\(_Subclassed\).*register_keras_serializable"):
            learner.adapt(x["support_images"][0], x["support_labels"][0])
    with pytest.raises(ValueError, match="must be a functional or sequential model"):
        SiameseNetwork(network)
    with pytest.raises(ValueError, match="must map images to feature maps"):
        RelationNetwork(network, network)
