"""What a learner is made of and how it is set: what is changed later acts, or is refused."""

import keras
import numpy as np
import pytest

from meta_keras import (
    MAML,
    GradientBasedLearner,
    LSTMMetaLearner,
    MatchingNetwork,
    MetaSGD,
    PrototypicalNetwork,
    RelationNetwork,
    Reptile,
    SiameseNetwork,
)
from meta_keras.layers import GradientDescentCell, MetaSGDCell


@pytest.fixture
def batch(make_episodes):
    return make_episodes(2, dtype="float32")


def _compiled(learner, run_eagerly=False):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(0.01)
    learner.compile(optimizer, loss, jit_compile=False, run_eagerly=run_eagerly)
    return learner


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("inner_steps", 3),
        ("inner_batch_size", 2),
        ("second_order", False),
        ("divide_gradient_by_batch", True),
        (
            "inner_loss",
            keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum"),
        ),
    ],
)
def test_a_change_acts_after_the_first_fit(make_network, make_episodes, name, value):
    """As in a learner that was made so, after steps have been compiled."""
    batch = make_episodes(dtype="float32")
    network = make_network(dtype="float32")

    def make(run_eagerly, **arguments):
        clone = keras.models.clone_model(network)
        clone.set_weights(network.get_weights())
        arguments = {"inner_steps": 2} | arguments
        return _compiled(MAML(clone, GradientDescentCell(0.4), **arguments), run_eagerly)

    changed, unchanged, made_so = make(False), make(True), make(True, **{name: value})
    changed.train_on_batch(*batch)
    changed.set_weights(unchanged.get_weights())
    setattr(changed, name, value)
    for learner in (changed, unchanged, made_so):
        learner.train_on_batch(*batch)
    weights = [learner.get_weights() for learner in (changed, made_so, unchanged)]
    for one, other in zip(*weights[:2], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert max(np.abs(a - b).max() for a, b in zip(*weights[1:], strict=True)) > 2e-5


def test_a_change_by_a_callback_acts_at_once(make_network, batch):
    learner = _compiled(MAML(make_network(dtype="float32"), GradientDescentCell(0.4)))
    x, y = batch
    seen = []

    class Change(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.test_inner_steps = epoch + 1

        def on_epoch_end(self, epoch, logs=None):
            alone = MAML(learner.network, GradientDescentCell(0.4), test_inner_steps=epoch + 1)
            _compiled(alone)
            seen.append((logs["val_loss"], alone.evaluate(x, y, verbose=0)))

    learner.fit(x, y, validation_data=batch, epochs=2, callbacks=[Change()], verbose=0)
    for found, expected in seen:
        assert found == pytest.approx(expected, rel=1e-5)
    assert seen[0][0] != pytest.approx(seen[1][0], rel=1e-4)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("inner_steps", 0, "inner_steps must be a positive integer, got 0"),
        ("inner_steps", True, "inner_steps must be a positive integer, got True"),
        ("test_inner_steps", 2.5, "test_inner_steps must be a positive integer, got 2.5"),
        ("inner_batch_size", -1, "inner_batch_size must be a positive integer, got -1"),
        ("batch_norm", "none", "batch_norm must be one of"),
        ("second_order", "yes", "second_order must be True or False, got 'yes'"),
        ("divide_gradient_by_batch", 3, "divide_gradient_by_batch must be True or False, got 3"),
        ("inner_loss", 3, r"inner_loss must be a keras\.losses\.Loss"),
        ("network", None, "network cannot be replaced.*make a new one"),
        ("cell", None, "cell cannot be replaced"),
    ],
)
def test_what_is_refused_at_one_door_is_refused_at_the_other(make_network, name, value, message):
    learner = LSTMMetaLearner(make_network(dtype="float32"))
    before = getattr(learner, name)
    with pytest.raises(ValueError, match=f"LSTMMetaLearner: {message}"):
        setattr(learner, name, value)
    assert getattr(learner, name) is before
    if name not in ("network", "cell"):
        with pytest.raises(ValueError, match=f"LSTMMetaLearner: {message}"):
            LSTMMetaLearner(make_network(dtype="float32"), **{name: value})


def test_second_order_is_refused_later_too():
    layers = [keras.layers.Flatten(), keras.layers.LayerNormalization(), keras.layers.Dense(3)]
    learner = LSTMMetaLearner(keras.Sequential([keras.Input((6, 6, 1)), *layers]))
    with pytest.raises(ValueError, match="LayerNormalization.*second_order=False"):
        learner.second_order = True
    with pytest.raises(ValueError, match="Reptile: there is nothing to differentiate"):
        Reptile(keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])).second_order = True


def test_metric_learners(make_embedding, make_relation, batch):
    x, _ = batch
    learner = PrototypicalNetwork(make_embedding(dtype="float32"))
    expected = np.array(learner.predict(x, verbose=0))
    learner.temperature = 0.5
    np.testing.assert_allclose(learner.predict(x, verbose=0), 2 * expected, rtol=1e-5)
    learner.distance = "cosine"
    assert np.abs(learner.predict(x, verbose=0)).max() <= 2 + 1e-5
    matching = MatchingNetwork(make_embedding(dtype="float32"))
    relation = RelationNetwork(make_embedding(maps=True), make_relation())
    siamese = SiameseNetwork(make_embedding())
    for one, name, value, message in (
        (learner, "temperature", 0, "temperature must be positive"),
        (learner, "distance", "manhattan", "distance must be one of"),
        (learner, "embedding", None, "embedding cannot be replaced"),
        (matching, "temperature", -1, "temperature must be positive"),
        (matching, "read_steps", 0, "read_steps must be a positive integer"),
        (matching, "full_context", True, "full_context cannot be replaced"),
        (relation, "relation", None, "relation cannot be replaced"),
        (siamese, "embedding", None, "embedding cannot be replaced"),
    ):
        with pytest.raises(ValueError, match=f"{type(one).__name__}: {message}"):
            setattr(one, name, value)


def _frozen(network, later=False):
    network.layers[1].trainable = later
    return network


def test_frozen_layers_are_neither_adapted_nor_learned(make_network, batch):
    """Whether frozen before the learner is made or after."""
    x, y = batch
    early = _compiled(MAML(_frozen(make_network(dtype="float32")), GradientDescentCell(0.4)))
    network = make_network(dtype="float32")
    late = MAML(network, GradientDescentCell(0.4))
    before = np.array(late(x))
    _compiled(late)
    _frozen(network)
    _compiled(late)
    np.testing.assert_allclose(late(x), early(x), rtol=1e-6)
    assert np.abs(np.array(late(x)) - before).max() > 1e-4
    kernel = network.layers[1].kernel.numpy()
    late.fit(x, y, verbose=0)
    np.testing.assert_array_equal(network.layers[1].kernel, kernel)
    adapted = late.adapt(x["support_images"][0], x["support_labels"][0])
    np.testing.assert_allclose(adapted(x["query_images"][0]), late(x)[0], rtol=1e-4, atol=1e-5)
    assert any(np.array_equal(kernel, w) for w in adapted.get_weights())


def test_single_frozen_weights_stay_where_they_are_in_the_classifier(batch):
    """Three kernels of one shape, the first frozen: none of them takes another's place."""
    kernels = [keras.layers.Dense(6, use_bias=False) for _ in range(3)]
    network = keras.Sequential(
        [keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(6), *kernels]
    )
    kernels[0].kernel.trainable = False
    learner = MAML(network, GradientDescentCell(0.4), inner_steps=2)
    x, _ = batch
    adapted = learner.adapt(x["support_images"][0], x["support_labels"][0])
    np.testing.assert_allclose(adapted(x["query_images"][0]), learner(x)[0], rtol=1e-4, atol=1e-5)


def test_a_cell_that_learned_something_for_every_weight_is_told_of(make_network, batch):
    network = make_network(dtype="float32")
    learner = MetaSGD(network, MetaSGDCell())
    _frozen(network)
    with pytest.raises(ValueError, match="learned something for each of .* make a new learner"):
        learner(batch[0])


def test_nothing_left_to_adapt_is_said(make_network, batch):
    learner = MAML(make_network(dtype="float32"))
    learner.trainable = False
    with pytest.raises(ValueError, match="no trainable weights to adapt.*trainable=False"):
        learner(batch[0])


class Noisy(keras.layers.Layer):
    """Draws from Keras' global generator, without one of its own."""

    def call(self, x):
        return x + keras.random.normal((6,))


class Named(keras.layers.Layer):
    """A variable with the name that a generator's has, and no generator."""

    def build(self, shape):
        self.add_weight(name="seed_generator_state", shape=(2,), trainable=False)

    def call(self, x):
        return x


class Adding(keras.layers.Layer):
    def call(self, x):
        self.add_loss(keras.ops.mean(x))
        return x


def _with(*layers, **options):
    return keras.Sequential(
        [keras.Input((6,)), *layers, keras.layers.Dense(3, name="head", **options)], name="mine"
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: _with(keras.layers.Dropout(0.3, name="it")), "draws random numbers.*it"),
        (lambda: _with(keras.layers.GaussianNoise(0.3, name="it")), "draws random numbers.*it"),
        (lambda: _with(Noisy(name="it")), "draws random numbers"),
        (lambda: _with(Adding(name="it")), "it adds a loss of its activations"),
        (lambda: _with(keras.layers.SpectralNormalization(keras.layers.Dense(4))), "state that ch"),
        (lambda: _with(activity_regularizer="l2"), "head adds a loss of its activations"),
        (lambda: _with(kernel_constraint="non_neg"), "has constraints .*head/kernel"),
    ],
)
def test_what_the_inner_loop_cannot_honour_is_refused(make, message):
    with pytest.raises(ValueError, match=f"network 'mine'.*{message}"):
        MAML(make())


def test_networks_are_judged_by_what_they_do():
    assert MAML(_with(Named())).num_classes == 3
    assert MAML(_with(keras.layers.Dropout(0.0))).num_classes == 3
    assert MAML(_with(kernel_regularizer="l2")).num_classes == 3


@pytest.mark.parametrize("layer", [keras.layers.Dropout(0.5), keras.layers.Softmax()])
def test_networks_for_pictures_of_any_size_are_judged_too(layer):
    pool = keras.layers.GlobalAveragePooling1D()
    network = keras.Sequential([keras.Input((None, 4)), pool, keras.layers.Dense(3), layer])
    with pytest.raises(ValueError, match="draws random numbers|gives probabilities"):
        MAML(network)


@pytest.mark.parametrize("learner", [MAML, PrototypicalNetwork])
def test_half_precision_is_the_networks_affair(make_network, learner):
    name = learner.__name__
    for dtype in ("float16", "bfloat16"):
        with pytest.raises(ValueError, match=f"{name}: dtype='{dtype}' must be float32, float64"):
            learner(make_network(dtype="float32"), dtype=dtype)
    made = learner(make_network(dtype="float32"))
    made.dtype_policy = "mixed_float16"
    assert made.compute_dtype == "float32"


def test_several_inputs_are_refused():
    inputs = [keras.Input((6,)), keras.Input((6,))]
    network = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Add()(inputs)), name="two")
    for learner in (MAML, PrototypicalNetwork, GradientBasedLearner):
        arguments = [GradientDescentCell(0.1)] if learner is GradientBasedLearner else []
        with pytest.raises(ValueError, match="'two' takes several inputs"):
            learner(network, *arguments)


def test_losses_of_activations_are_refused_before_metric_learners_count_them(make_episodes):
    x, y = make_episodes(2, dtype="float32")
    layers = [keras.layers.Flatten(), keras.layers.Dense(4, activity_regularizer="l2", name="it")]
    learner = PrototypicalNetwork(keras.Sequential([keras.Input((6, 6, 1)), *layers]))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner.compile("adam", loss, run_eagerly=True)
    with pytest.raises(ValueError, match="layer 'it' adds a loss of its activations"):
        learner.fit(x, y, verbose=0)
