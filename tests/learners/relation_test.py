"""Tests of relation networks: every pair is compared as it would be alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.learners import BalancedPairsLoss, RelationLoss, RelationNetwork


@pytest.fixture
def learner(make_embedding, make_relation):
    return RelationNetwork(make_embedding(maps=True), make_relation(), dtype="float64")


def _score(learner, class_maps, query_maps):
    pair = np.concatenate([class_maps, query_maps], axis=-1)
    return np.array(learner.relation(pair[None]))[0, 0]


def test_logits_pair_by_pair(learner, make_episodes):
    x, _ = make_episodes(2, classes=4, kshot=3)
    for k in range(2):
        support, query = (
            np.array(learner.embedding(x[f"{part}_images"][k])) for part in ("support", "query")
        )
        means = [support[x["support_labels"][k] == n].mean(0) for n in range(4)]
        expected = [[_score(learner, c, z) for c in means] for z in query]
        np.testing.assert_allclose(learner(x)[k], expected, rtol=1e-9, atol=1e-12)


def test_a_score_does_not_depend_on_the_other_classes(learner, make_episodes):
    x, _ = make_episodes(classes=4, kshot=2)
    fewer = {
        "support_images": x["support_images"][:, :6],
        "support_labels": x["support_labels"][:, :6],
        "query_images": x["query_images"],
    }
    np.testing.assert_allclose(learner(fewer), learner(x)[..., :3], atol=1e-12)


def test_symmetric_if_the_relation_module_is(learner, make_episodes):
    """Two pictures get the same score in both roles if g(a, b) = g(b, a), and here only then."""
    x, _ = make_episodes(kshot=1, nquery=1)
    swapped = {
        **x,
        "support_images": x["query_images"],
        "query_images": x["support_images"],
    }
    assert np.abs(learner(swapped)[0] - tf.transpose(learner(x)[0])).max() > 1e-3
    kernel, bias = learner.relation.layers[1].get_weights()
    kernel[:, :, 2:] = kernel[:, :, :2]  # both pictures' maps are read alike
    learner.relation.layers[1].set_weights([kernel, bias])
    np.testing.assert_allclose(learner(swapped)[0], tf.transpose(learner(x)[0]), atol=1e-12)
    assert np.ptp(learner(x)) > 1e-3


def test_repeated_support_pictures_change_nothing(learner, make_episodes):
    """The mean of the feature maps, not their sum: K may differ between training and test."""
    x, _ = make_episodes(kshot=1)
    twice = {
        **x,
        "support_images": x["support_images"].repeat(2, axis=1),
        "support_labels": x["support_labels"].repeat(2, axis=1),
    }
    np.testing.assert_allclose(learner(twice), learner(x), atol=1e-12)


def test_loss():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(2, 5, 3)), rng.integers(0, 3, (2, 5))
    scores = 1 / (1 + np.exp(-logits))
    expected = np.mean((scores - np.eye(3)[labels]) ** 2)
    loss = RelationLoss(dtype="float64")
    assert float(loss(labels, logits)) == pytest.approx(expected, rel=1e-12)
    sure = 50 * (2 * np.eye(3)[labels] - 1)
    assert float(loss(labels, sure)) == pytest.approx(0, abs=1e-12)
    assert float(loss(labels, -sure)) == pytest.approx(1)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("loss", [RelationLoss(), BalancedPairsLoss()])
def test_labels_in_a_column(loss, batch):
    """They are taken as class numbers, not broadcast; one-hot labels are refused."""
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(batch, 3, 3)), rng.integers(0, 3, (batch, 3))
    expected = loss(labels, logits)
    np.testing.assert_array_equal(loss(labels[..., None], logits), expected)
    shapes = [tf.TensorSpec(None, tf.int64), tf.TensorSpec([None, None, 3], tf.float64)]
    compiled = tf.function(loss, input_signature=shapes)
    np.testing.assert_allclose(compiled(labels[..., None], logits), expected, rtol=1e-6)
    with pytest.raises(ValueError, match=r"takes class numbers, .* got \(\d, 3, 3\)"):
        loss(np.eye(3)[labels], logits)


@pytest.mark.parametrize("loss", ["paper", "cross-entropy"])
def test_either_loss_trains(learner, make_episodes, tmp_path, loss):
    x, y = make_episodes(2)
    losses = {
        "paper": RelationLoss(),
        "cross-entropy": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    }
    learner.compile(keras.optimizers.Adam(0.02), losses[loss], run_eagerly=True)
    values = [learner.train_on_batch(x, y) for _ in range(15)]
    assert values[-1] < 0.8 * values[0]
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    assert loaded.evaluate(x, y, verbose=0) == learner.evaluate(x, y, verbose=0)


def test_networks_must_fit_together(make_embedding, make_relation):
    with pytest.raises(ValueError, match=r"'embedding' must map images to feature maps"):
        RelationNetwork(make_embedding(), make_relation())
    wide = keras.Sequential([keras.Input((2, 2, 6)), keras.layers.Flatten()], name="wide")
    with pytest.raises(ValueError, match=r"'wide' must map .*\(None, 2, 2, 4\) to one logit"):
        RelationNetwork(make_embedding(maps=True), wide)


@pytest.mark.parametrize("apart", [False, True])
def test_a_relation_module_that_ends_in_a_sigmoid(make_embedding, apart):
    last = [keras.layers.Dense(1), keras.layers.Activation("sigmoid")]
    last = last if apart else [keras.layers.Dense(1, "sigmoid")]
    layers = [keras.Input((2, 2, 4)), keras.layers.Flatten(), *last]
    with pytest.raises(ValueError, match="relation 'it' ends in a sigmoid, and must give a logit"):
        RelationNetwork(make_embedding(maps=True), keras.Sequential(layers, name="it"))
