"""Tests of what every learner promises to Keras and to its user."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.data.episodes import episodes
from meta_keras.layers import GatedLSTMCell, GradientDescentCell
from meta_keras.learners import GradientBasedLearner, LSTMMetaLearner

# Batch-normalisation mode; None for a network without it.
MODES = ["transductive", "inductive", None]


@pytest.fixture
def make_learner(make_network, randomize_cell):
    """Function that builds a learner in float32, the same one every time."""

    def make(mode="transductive", **kwargs):
        if mode is not None:
            kwargs["batch_norm"] = mode
        cell = GatedLSTMCell(units=3)
        network = make_network(mode is not None, dtype="float32")
        learner = LSTMMetaLearner(network, cell, **{"inner_steps": 2, **kwargs})
        randomize_cell(cell)
        return learner

    return make


@pytest.fixture
def make_batch(make_episodes):
    def make(batch=1, **kwargs):
        return make_episodes(batch, dtype="float32", **kwargs)

    return make


@pytest.fixture
def drawings():
    """uint8 `[classes, drawings, 6, 6]`: noisy versions of six patterns."""
    rng = np.random.default_rng(0)
    images = 160 * rng.integers(0, 2, (6, 1, 6, 6)) + rng.integers(0, 90, (6, 8, 6, 6))
    return images.astype("uint8")


def _compile(learner, optimizer="adam", jit_compile=False, **kwargs):
    # Said explicitly, for on a GPU Keras would choose XLA by itself.
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner.compile(optimizer, loss, metrics=["accuracy"], jit_compile=jit_compile, **kwargs)
    return learner


def _weights(learner):
    return [variable.numpy() for variable in learner.trainable_variables]


def _distance(some, others):
    return max(np.abs(a - b).max() for a, b in zip(some, others, strict=True))


def _take(x, *places):
    return {name: value[list(places)] for name, value in x.items()}


def test_fit_evaluate_predict(make_learner, drawings):
    learner = _compile(make_learner(), keras.optimizers.Adam(0.02))
    training = episodes(drawings, 3, 1, 3, seed=0, count=60, meta_batch=2)
    test = episodes(drawings, 3, 1, 3, seed=1, count=20, meta_batch=1)
    before = learner.evaluate(test, return_dict=True, verbose=0)
    history = learner.fit(training, validation_data=test, epochs=2, verbose=0).history
    after = learner.evaluate(test, return_dict=True, verbose=0)
    assert after["loss"] < before["loss"] - 0.1
    assert history["val_loss"][-1] == pytest.approx(after["loss"], rel=1e-5)

    logits = learner.predict(test, verbose=0)
    assert logits.shape == (20, 9, 3)
    labels = np.concatenate([y for _, y in test.as_numpy_iterator()])
    assert after["accuracy"] == pytest.approx((logits.argmax(-1) == labels).mean(), abs=1e-6)
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    right = np.take_along_axis(probabilities, labels[..., None], -1)
    assert after["loss"] == pytest.approx(-np.log(right).mean(), rel=1e-4)


@pytest.mark.parametrize("second_order", [False, True])
def test_eagerly_as_a_graph_and_compiled(make_learner, make_batch, second_order):
    x, y = make_batch()
    results = []
    graph = [] if second_order else [{}]  # compiled it is a graph as well
    for kwargs in ({"run_eagerly": True}, *graph, {"jit_compile": True}):
        # Plain gradient steps: Adam would blow up the noise of vanishing gradients.
        optimizer = keras.optimizers.SGD(0.1)
        learner = _compile(make_learner(second_order=second_order), optimizer, **kwargs)
        start = _weights(learner)
        losses = [learner.train_on_batch(x, y)[0] for _ in range(3)]
        assert _distance(_weights(learner), start) > 1e-2
        results.append([*_weights(learner), np.array(losses), learner.predict_on_batch(x)])
    assert all(_distance(result, results[0]) < 1e-4 for result in results[1:])


@pytest.mark.parametrize("mode", MODES)
def test_save_and_load(make_learner, make_batch, tmp_path, mode):
    x, y = make_batch(2)
    learner = _compile(
        make_learner(
            mode, second_order=True, inner_batch_size=4, divide_gradient_by_batch=True, name="it"
        ),
        run_eagerly=True,
    )
    for _ in range(3):
        learner.train_on_batch(x, y)
    learner.save(tmp_path / "learner.keras")
    keras.utils.set_random_seed(99)
    loaded = keras.models.load_model(tmp_path / "learner.keras")

    assert type(loaded) is LSTMMetaLearner
    for name in ("inner_steps", "inner_batch_size", "second_order", "batch_norm"):
        assert getattr(loaded, name) == getattr(learner, name)
    assert loaded.divide_gradient_by_batch
    assert loaded.name == "it"
    assert loaded.cell.get_config() == learner.cell.get_config()
    assert _distance(_weights(loaded), _weights(learner)) == 0
    expected = learner.predict(x, verbose=0)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), expected)
    # The optimizer is restored as well, so that training goes on as if nothing had happened.
    assert int(loaded.optimizer.iterations) == 3
    slots = ([v.numpy() for v in one.optimizer.variables] for one in (loaded, learner))
    assert _distance(*slots) == 0
    for one in (loaded, learner):
        one.train_on_batch(x, y)
    assert _distance(_weights(loaded), _weights(learner)) == 0


def test_save_and_load_keeps_the_precision(make_network, make_episodes, tmp_path):
    x, _ = make_episodes(dtype="float64")
    cell = GatedLSTMCell(units=2, dtype="float64")
    network = make_network(dtype="float64")
    learner = LSTMMetaLearner(network, cell, inner_steps=2, dtype="float64")
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    assert loaded(x).dtype == "float64"
    np.testing.assert_array_equal(loaded(x), learner(x))


@pytest.mark.parametrize("mode", MODES)
def test_adapted_classifier_gives_the_learners_logits(make_learner, make_batch, mode):
    x, _ = make_batch(nquery=4)
    learner = make_learner(mode)
    classifier = learner.adapt(x["support_images"][0], x["support_labels"][0])
    expected = learner(x)[0]
    np.testing.assert_allclose(classifier(x["query_images"][0]), expected, rtol=1e-4, atol=1e-5)
    logits = classifier.predict(x["query_images"][0], batch_size=12, verbose=0)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    if mode != "transductive":
        logits = classifier.predict(x["query_images"][0], batch_size=5, verbose=0)
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def _nested():
    block = [keras.layers.Conv2D(2, 3), keras.layers.BatchNormalization(), keras.layers.ReLU()]
    head = [keras.layers.Flatten(), keras.layers.BatchNormalization(), keras.layers.Dense(3)]
    return keras.Sequential([keras.Input((6, 6, 1)), keras.Sequential(block), *head])


def _branched():
    images = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(2, 3)(images)
    x = keras.layers.Add()([x, keras.layers.BatchNormalization()(x)])
    return keras.Model(images, keras.layers.Dense(3)(keras.layers.Flatten()(x)))


def _partly_frozen():
    layers = [keras.layers.BatchNormalization(), keras.layers.Dense(4)]
    for layer in layers:
        layer.trainable = False  # in batch normalisation this means the moving statistics
    layers = [keras.layers.Flatten(), *layers, keras.layers.Dense(3)]
    return keras.Sequential([keras.Input((6, 6, 1)), *layers])


@pytest.mark.parametrize("make", [_nested, _branched, _partly_frozen])
@pytest.mark.parametrize("mode", ["transductive", "inductive"])
def test_other_networks(make_batch, randomize_cell, tmp_path, make, mode):
    x, _ = make_batch()
    learner = LSTMMetaLearner(make(), GatedLSTMCell(units=2), inner_steps=2, batch_norm=mode)
    randomize_cell(learner.cell)
    assert learner.is_transductive() == (mode == "transductive" and make is not _partly_frozen)
    classifier = learner.adapt(x["support_images"][0], x["support_labels"][0])
    classifier.save(tmp_path / "classifier.keras")
    expected = learner(x)[0]
    for model in (classifier, keras.models.load_model(tmp_path / "classifier.keras")):
        logits = model.predict_on_batch(x["query_images"][0])
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


@keras.saving.register_keras_serializable(package="meta_keras_tests")
class _Block(keras.layers.Layer):
    """A layer with batch normalisation inside."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = keras.layers.BatchNormalization()

    def build(self, shape):
        self.norm.build(shape)

    def call(self, x, training=False):
        return self.norm(x, training=training)


def test_adapt_refuses_what_it_cannot_take_apart(make_batch):
    layers = [keras.layers.Flatten(), _Block(), keras.layers.Dense(3)]
    network = keras.Sequential([keras.Input((6, 6, 1)), *layers])
    x, _ = make_batch()
    support = x["support_images"][0], x["support_labels"][0]
    learner = LSTMMetaLearner(network, inner_steps=1)
    assert learner.is_transductive()
    with pytest.raises(ValueError, match=r"batch normalisation inside.*batch_norm='inductive'"):
        learner.adapt(*support)
    learner = LSTMMetaLearner(network, inner_steps=1, batch_norm="inductive")
    logits = learner.adapt(*support)(x["query_images"][0])
    np.testing.assert_allclose(logits, learner(x)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "layer", [keras.layers.LayerNormalization(), keras.layers.GroupNormalization(2)]
)
def test_second_order_is_refused_where_it_would_be_wrong(layer):
    layers = [keras.layers.Conv2D(2, 3), layer, keras.layers.Flatten(), keras.layers.Dense(3)]
    network = keras.Sequential([keras.Input((6, 6, 1)), *layers])
    with pytest.raises(ValueError, match=r"second derivatives.*second_order=False"):
        LSTMMetaLearner(network, second_order=True)
    assert not LSTMMetaLearner(network).second_order


class _Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = [keras.layers.Flatten(), keras.layers.Dense(3)]

    def call(self, x):
        for layer in self.hidden:
            x = layer(x)
        return x


def _with_normalization():
    layers = [keras.layers.Normalization(mean=0.5, variance=2.0), keras.layers.Flatten()]
    return keras.Sequential([keras.Input((6, 6, 1)), *layers, keras.layers.Dense(3)])


@pytest.mark.parametrize("make", [_Subclassed, _with_normalization])
def test_any_built_network_will_do(make_batch, make):
    x, y = make_batch(2)
    network = make()
    network(x["support_images"][0])
    learner = _compile(LSTMMetaLearner(network, inner_steps=2))
    learner.train_on_batch(x, y)
    assert learner(x).shape == (2, 6, 3)


def test_several_outputs_are_refused():
    images = keras.Input((6, 6, 1))
    outputs = [keras.layers.Dense(3)(keras.layers.Flatten()(images)) for _ in range(2)]
    with pytest.raises(ValueError, match=r"must map images to logits \[batch, N\]"):
        LSTMMetaLearner(keras.Model(images, outputs))


def test_a_learner_of_any_cell_is_saved(make_network, make_batch, tmp_path):
    network = make_network(dtype="float32")
    learner = GradientBasedLearner(network, GradientDescentCell(0.5), inner_steps=2)
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    x, _ = make_batch()
    np.testing.assert_array_equal(loaded(x), learner(x))
    config = learner.get_config()
    assert [GradientBasedLearner.from_config(config).inner_steps for _ in range(2)] == [2, 2]


LOAD_AND_PREDICT = """
import sys
import keras
import numpy as np

images = np.load("images.npy")
for mode in sys.argv[1:]:
    classifier = keras.models.load_model(f"{mode}.keras")
    np.save(f"{mode}.npy", classifier.predict(images, batch_size=len(images), verbose=0))
assert "meta_keras" not in sys.modules
"""


def test_adapted_classifier_lives_without_the_package(
    make_learner, make_batch, tmp_path, environment
):
    x, _ = make_batch()
    images = x["query_images"][0]
    np.save(tmp_path / "images.npy", images)
    expected = {}
    for mode in MODES:
        classifier = make_learner(mode).adapt(x["support_images"][0], x["support_labels"][0])
        classifier.save(tmp_path / f"{mode}.keras")
        expected[str(mode)] = classifier.predict(images, batch_size=len(images), verbose=0)
    command = [sys.executable, "-c", LOAD_AND_PREDICT, *expected]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    for mode, logits in expected.items():
        np.testing.assert_array_equal(np.load(tmp_path / f"{mode}.npy"), logits)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("training", [False, True])
def test_episodes_are_independent(make_learner, make_batch, mode, training):
    x, _ = make_batch(3)
    learner = make_learner(mode)
    together = np.array(learner(x, training=training))
    alone = [learner(_take(x, k), training=training)[0] for k in range(3)]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)
    other, _ = make_batch(3, seed=1)
    changed = {name: value.copy() for name, value in x.items()}
    for name in changed:
        changed[name][1] = other[name][1]
    logits = np.array(learner(changed, training=training))
    np.testing.assert_array_equal(logits[[0, 2]], together[[0, 2]])
    assert np.abs(logits[1] - together[1]).max() > 1e-3


@pytest.mark.parametrize("mode", MODES)
def test_query_pictures_are_seen_as_announced(make_learner, make_batch, mode):
    """Alone a query picture gets the same logits, unless the learner says it is transductive."""
    x, _ = make_batch()
    learner = make_learner(mode)
    assert learner.is_transductive() == (mode == "transductive")
    first = learner({**x, "query_images": x["query_images"][:, :1]})[0, 0]
    difference = np.abs(first - learner(x)[0, 0]).max()
    assert (difference > 1e-3) if learner.is_transductive() else (difference < 1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_order_of_the_pictures_does_not_matter(make_learner, make_batch, mode):
    x, _ = make_batch()
    learner = make_learner(mode)
    rng = np.random.default_rng(0)
    support, query = rng.permutation(6), rng.permutation(6)
    shuffled = {
        "support_images": x["support_images"][:, support],
        "support_labels": x["support_labels"][:, support],
        "query_images": x["query_images"][:, query],
    }
    np.testing.assert_allclose(
        learner(shuffled), np.array(learner(x))[:, query], rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("mode", MODES)
def test_names_of_the_classes_do_not_matter(make_learner, make_batch, mode):
    """Other labels and a last layer with its columns in that order give the logits in that order.

    It is true because the cell treats every coordinate alike.
    """
    x, _ = make_batch()
    learner = make_learner(mode)
    expected = np.array(learner(x))
    new_label = np.array([2, 0, 1])
    kernel, bias = learner.network.layers[-1].get_weights()
    order = np.argsort(new_label)
    learner.network.layers[-1].set_weights([kernel[:, order], bias[order]])
    logits = learner({**x, "support_labels": new_label[x["support_labels"]].astype("int32")})
    np.testing.assert_allclose(logits, expected[..., order], rtol=1e-4, atol=1e-4)
    assert np.abs(logits - expected).max() > 1e-2


@pytest.mark.parametrize("mode", ["transductive", "inductive"])
def test_statistics_never_leak(make_learner, make_batch, mode):
    learner = _compile(make_learner(mode), run_eagerly=mode == "transductive")
    x, y = make_batch()
    network = learner.network
    before = [variable.numpy() for variable in network.non_trainable_variables]
    learner.fit(x, y, batch_size=1, epochs=2, verbose=0)
    learner(x)
    learner(x, training=True)
    learner.adapt(x["support_images"][0], x["support_labels"][0])(x["query_images"][0])
    assert _distance([v.numpy() for v in network.non_trainable_variables], before) == 0


@pytest.mark.parametrize("mode", MODES)
def test_order_of_calls_does_not_matter(make_learner, make_batch, mode):
    one, other = make_batch()[0], make_batch(seed=1)[0]
    learner = make_learner(mode)
    first = np.array(learner(one)), np.array(learner(other))
    learner(other, training=True)
    learner.adapt(other["support_images"][0], other["support_labels"][0])
    np.testing.assert_array_equal(learner(other), first[1])
    np.testing.assert_array_equal(learner(one), first[0])


def test_prediction_leaves_the_weights_alone(make_learner, make_batch):
    learner = make_learner()
    before = _weights(learner)
    x, _ = make_batch()
    learner.predict(x, verbose=0)
    learner.adapt(x["support_images"][0], x["support_labels"][0])
    assert _distance(_weights(learner), before) == 0


def test_unknown_batch_size(make_learner, make_batch):
    learner = _compile(make_learner(inner_steps=1))
    x, y = make_batch(5)
    expected = np.array(learner(x))
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(2)
    assert dataset.element_spec[1].shape[0] is None
    from_dataset = learner.predict(dataset, verbose=0)
    np.testing.assert_allclose(from_dataset, expected, rtol=1e-4, atol=1e-5)
    from_arrays = learner.predict(x, batch_size=2, verbose=0)
    np.testing.assert_allclose(from_arrays, expected, rtol=1e-4, atol=1e-5)
    before = _weights(learner)
    learner.fit(dataset, verbose=0)
    assert 0 < _distance(_weights(learner), before) < 0.1


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("inner_steps", 0),
        ("inner_steps", -1),
        ("inner_steps", 1.5),
        ("inner_batch_size", 0),
        ("inner_batch_size", 2.5),
        ("batch_norm", "moving"),
        ("batch_norm", None),
    ],
)
def test_bad_arguments(make_network, argument, value):
    with pytest.raises(ValueError, match=f"LSTMMetaLearner: {argument} .*{value}"):
        LSTMMetaLearner(make_network(), **{argument: value})


def test_mini_batch_larger_than_the_support_set(make_learner, make_batch):
    x, _ = make_batch()
    with pytest.raises(ValueError, match=r"inner_batch_size=7 .* 6 pictures"):
        make_learner(inner_batch_size=7)(x)


def test_network_must_be_built():
    network = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)], name="unready")
    with pytest.raises(ValueError, match="'unready' is not built"):
        LSTMMetaLearner(network)


def test_network_must_give_logits():
    network = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Conv2D(3, 3)], name="maps")
    with pytest.raises(ValueError, match=r"'maps' must .* \(None, 4, 4, 3\)"):
        LSTMMetaLearner(network)


def test_random_networks_are_refused():
    layers = [keras.layers.Flatten(), keras.layers.Dropout(0.5), keras.layers.Dense(3)]
    network = keras.Sequential([keras.Input((6, 6, 1)), *layers], name="random")
    with pytest.raises(ValueError, match="'random' has layers with random state"):
        LSTMMetaLearner(network)
