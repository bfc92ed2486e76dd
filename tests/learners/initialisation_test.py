"""Tests of what every learner promises, of those that learn initial weights."""

import keras
import numpy as np
import pytest

from meta_keras import MAML, MetaSGD, Reptile, data
from meta_keras.layers import GradientDescentCell, MetaSGDCell

KINDS = ["maml", "fomaml", "meta_sgd", "reptile"]
MODES = ["transductive", "inductive"]


@pytest.fixture
def make_learner(make_network):
    """Function that builds a compiled learner in float32, the same one every time."""

    def make(kind, mode="transductive", cell=None, rate=0.02, run_eagerly=True, **kwargs):
        network = make_network(dtype="float32")
        kwargs = {"batch_norm": mode, "inner_steps": 2, "test_inner_steps": 3, **kwargs}
        if kind == "reptile":
            learner = Reptile(network, cell, inner_batch_size=4, **kwargs)
        elif kind == "meta_sgd":
            learner = MetaSGD(network, MetaSGDCell(), **kwargs)
            alpha = learner.cell.alpha
            alpha.assign(np.random.default_rng(2).uniform(0.0, 0.8, alpha.shape))
        else:
            learner = MAML(network, GradientDescentCell(0.4), second_order=kind == "maml", **kwargs)
        optimizer = keras.optimizers.SGD if kind == "reptile" else keras.optimizers.Adam
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        learner.compile(optimizer(rate), loss, metrics=["accuracy"], run_eagerly=run_eagerly)
        return learner

    return make


@pytest.fixture
def make_batch(make_episodes):
    def make(batch=1, **kwargs):
        return make_episodes(batch, dtype="float32", **kwargs)

    return make


def _weights(learner):
    return [variable.numpy() for variable in learner.trainable_variables]


def _distance(some, others):
    return max(np.abs(a - b).max() for a, b in zip(some, others, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_learns(make_learner, kind):
    rng = np.random.default_rng(0)
    images = 160 * rng.integers(0, 2, (6, 1, 6, 6)) + rng.integers(0, 90, (6, 8, 6, 6))
    drawings = images.astype("uint8")
    kwargs = {"test_inner_steps": 2, "run_eagerly": False}
    if kind == "reptile":
        kwargs |= {"cell": GradientDescentCell(0.1), "inner_steps": 4, "rate": 0.5}
    learner = make_learner(kind, **kwargs)
    kshot = 4 if kind == "reptile" else 2
    training = data.episodes(drawings, 3, kshot, 3, seed=0, count=160, meta_batch=4)
    test = data.episodes(drawings, 3, 2, 3, seed=1, count=20)
    before = learner.evaluate(test, return_dict=True, verbose=0)
    logs = learner.fit(training, validation_data=test, verbose=0).history
    after = learner.evaluate(test, return_dict=True, verbose=0)
    assert after["loss"] < before["loss"] - 0.1
    assert logs["val_loss"][-1] == pytest.approx(after["loss"], rel=1e-5)
    assert 0 < logs["loss"][0] < 2 and 0 < logs["accuracy"][0] <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_save_and_load(make_learner, make_batch, tmp_path, kind):
    x, y = make_batch(2)
    learner = make_learner(kind, name="it")
    for _ in range(2):
        learner.train_on_batch(x, y)
    learner.save(tmp_path / "learner.keras")
    keras.utils.set_random_seed(99)
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    assert type(loaded) is type(learner)
    for name in ("name", "inner_steps", "test_inner_steps", "inner_batch_size", "second_order"):
        assert getattr(loaded, name) == getattr(learner, name)
    assert loaded.cell.get_config() == learner.cell.get_config()
    assert _distance(_weights(loaded), _weights(learner)) == 0
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), learner.predict(x, verbose=0))
    for one in (loaded, learner):  # the optimizer goes on as well
        one.train_on_batch(x, y)
    assert _distance(_weights(loaded), _weights(learner)) == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
def test_adapted_classifier(make_learner, make_batch, tmp_path, kind, mode):
    x, _ = make_batch()
    learner = make_learner(kind, mode)
    classifier = learner.adapt(x["support_images"][0], x["support_labels"][0])
    classifier.save(tmp_path / "classifier.keras")
    loaded = keras.models.load_model(tmp_path / "classifier.keras")
    for model in (classifier, loaded):
        logits = model.predict_on_batch(x["query_images"][0])
        np.testing.assert_allclose(logits, learner(x)[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", [False, True])
def test_episodes_are_independent(make_learner, make_batch, kind, training):
    x, _ = make_batch(3)
    other, _ = make_batch(3, seed=1)
    learner = make_learner(kind)
    together = np.array(learner(x, training=training))
    changed = {name: value.copy() for name, value in x.items()}
    for name in changed:
        changed[name][1] = other[name][1]
    logits = np.array(learner(changed, training=training))
    np.testing.assert_array_equal(logits[[0, 2]], together[[0, 2]])
    assert np.abs(logits[1] - together[1]).max() > 1e-3


def test_reptiles_episodes_are_independent_in_training(make_learner, make_batch):
    """The move of a meta-batch is the mean of the moves its episodes make alone."""
    x, y = make_batch(3)
    learner = make_learner("reptile")
    together = learner.meta_gradient(x, y)
    alone = [
        learner.meta_gradient({name: v[k : k + 1] for name, v in x.items()}, y[k : k + 1])
        for k in range(3)
    ]
    for mean, *parts in zip(together, *alone, strict=True):
        np.testing.assert_allclose(mean, np.mean(parts, axis=0), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
def test_names_of_the_classes_do_not_matter(make_learner, make_batch, kind, mode):
    """Other labels and a last layer with its columns in that order give the logits in that order.

    Meta-SGD's rates belong to the columns and must be put in order with them.
    """
    x, _ = make_batch()
    learner = make_learner(kind, mode)
    expected = np.array(learner(x))
    new_label = np.array([2, 0, 1])
    order = np.argsort(new_label)
    kernel, bias = learner.network.layers[-1].get_weights()
    learner.network.layers[-1].set_weights([kernel[:, order], bias[order]])
    renamed = {**x, "support_labels": new_label[x["support_labels"]].astype("int32")}
    if kind == "meta_sgd":
        assert np.abs(learner(renamed) - expected[..., order]).max() > 1e-3
        *others, kernel, bias = learner.flat.unflatten(np.array(learner.cell.alpha))
        rates = [*others, np.array(kernel)[:, order], np.array(bias)[order]]
        learner.cell.alpha.assign(np.concatenate([np.ravel(part) for part in rates]))
    logits = learner(renamed)
    np.testing.assert_allclose(logits, expected[..., order], rtol=1e-4, atol=1e-4)
    assert np.abs(logits - expected).max() > 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_never_leak(make_learner, make_batch, kind):
    x, y = make_batch()
    learner = make_learner(kind, "inductive")
    before = [variable.numpy() for variable in learner.network.non_trainable_variables]
    learner.train_on_batch(x, y)
    learner.predict_on_batch(x)
    after = [variable.numpy() for variable in learner.network.non_trainable_variables]
    assert _distance(after, before) == 0
