"""Tests of what gradient-based learners ask of networks and arguments."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.layers import GatedLSTMCell, GradientDescentCell
from meta_keras.learners import GradientBasedLearner, LSTMMetaLearner


@pytest.fixture
def make_batch(make_episodes):
    def make(batch=1, **kwargs):
        return make_episodes(batch, dtype="float32", **kwargs)

    return make


def _compile(learner, optimizer="adam", jit_compile=False, **kwargs):
    # Said explicitly, for on a GPU Keras would choose XLA by itself.
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner.compile(optimizer, loss, metrics=["accuracy"], jit_compile=jit_compile, **kwargs)
    return learner


def _weights(learner):
    return [variable.numpy() for variable in learner.trainable_variables]


def _distance(some, others):
    return max(np.abs(a - b).max() for a, b in zip(some, others, strict=True))


@pytest.mark.parametrize("second_order", [False, True])
def test_eagerly_and_as_a_graph(make_network, make_batch, randomize_cell, second_order):
    x, y = make_batch()
    results = []
    for kwargs in ({"run_eagerly": True}, {}):
        # Plain gradient steps: Adam would blow up the noise of vanishing gradients.
        optimizer = keras.optimizers.SGD(0.1)
        learner = LSTMMetaLearner(
            make_network(dtype="float32"),
            GatedLSTMCell(units=3),
            inner_steps=2,
            second_order=second_order,
        )
        randomize_cell(learner.cell)
        _compile(learner, optimizer, **kwargs)
        start = _weights(learner)
        losses = [learner.train_on_batch(x, y)[0] for _ in range(3)]
        assert _distance(_weights(learner), start) > 1e-2
        results.append([*_weights(learner), np.array(losses), learner.predict_on_batch(x)])
    assert all(_distance(result, results[0]) < 1e-4 for result in results[1:])


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
    learner = _compile(LSTMMetaLearner(network, inner_steps=2), run_eagerly=True)
    assert learner.num_classes == 3
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
    assert loaded.method is None


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


def test_mini_batch_larger_than_the_support_set(make_network, make_batch):
    learner = LSTMMetaLearner(make_network(dtype="float32"), inner_batch_size=7)
    with pytest.raises(ValueError, match=r"inner_batch_size=7 .* 6 pictures"):
        learner(make_batch()[0])


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
    with pytest.raises(ValueError, match="'random' draws random numbers in training \\(dropout"):
        LSTMMetaLearner(network)


def test_without_batch_normalisation_nothing_is_transductive(make_network):
    assert not LSTMMetaLearner(make_network(False), batch_norm="transductive").is_transductive()


def test_settings_may_change_later(make_network, make_batch):
    x, _ = make_batch()
    learner = GradientBasedLearner(make_network(dtype="float32"), GradientDescentCell(0.5))
    learner.batch_norm, learner.test_inner_steps = "inductive", 2
    expected = GradientBasedLearner(
        learner.network, GradientDescentCell(0.5), 2, batch_norm="inductive"
    )
    np.testing.assert_array_equal(learner(x), expected(x))
    assert not learner.is_transductive()
    assert learner.get_config()["batch_norm"] == "inductive"


def test_summaries_are_those_of_the_first_episode(make_network, make_batch):
    x, y = make_batch(2)
    learner = GradientBasedLearner(make_network(dtype="float32"), GradientDescentCell(0.5), 2)
    scalars, histograms = learner.adaptation_summaries(x, y)
    run = learner.run_inner_loop(x["support_images"][0], x["support_labels"][0])
    np.testing.assert_array_equal(
        [scalars[f"inner_loop/support_loss_before_step_0{t}"] for t in (1, 2)], run.losses
    )
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y[0], learner(x)[0])
    np.testing.assert_allclose(
        scalars["inner_loop/query_loss_after_adaptation"], tf.reduce_mean(losses), rtol=1e-6
    )
    assert histograms == {}
