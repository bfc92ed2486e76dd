"""Tests of Siamese networks: the distance, its pairs, and both of its uses."""

import keras
import numpy as np
import pytest

from meta_keras.learners import BalancedPairsLoss, SiameseNetwork
from meta_keras.learners.siamese import pair_weights


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture
def learner(make_embedding):
    learner = SiameseNetwork(make_embedding(), dtype="float64")
    rng = np.random.default_rng(4)
    learner.comparison.set_weights([rng.normal(size=(4, 1)), rng.normal(size=1)])
    return learner


@pytest.fixture
def probability(learner):
    """Function: p(same) of two pictures, from the paper's formula."""

    def compute(a, b):
        alpha, bias = learner.comparison.get_weights()
        a, b = (np.array(learner.embedding(image[None]))[0] for image in (a, b))
        return _sigmoid(sum(alpha[j, 0] * abs(a[j] - b[j]) for j in range(4)) + bias[0])

    return compute


def test_verify(learner, probability, make_episodes):
    a, b = (make_episodes(seed=seed)[0]["query_images"][0] for seed in (0, 1))
    probabilities = np.array(learner.verify(a, b))
    expected = [probability(*pair) for pair in zip(a, b, strict=True)]
    np.testing.assert_allclose(probabilities, expected, rtol=1e-10)
    np.testing.assert_allclose(learner.verify(b, a), probabilities, rtol=1e-12)
    alone = [float(learner.verify(a[k : k + 1], b[k : k + 1])[0]) for k in range(len(a))]
    np.testing.assert_allclose(alone, expected, rtol=1e-10)
    # A picture is as much the same as itself as any other is.
    assert np.ptp(learner.verify(a, a)) == 0
    assert np.ptp(probabilities) > 1e-3


def test_one_shot_decision_is_the_most_probable_pair(learner, probability, make_episodes):
    x, _ = make_episodes(classes=5, kshot=1)
    pairs = [[probability(q, s) for s in x["support_images"][0]] for q in x["query_images"][0]]
    logits = np.array(learner(x)[0])
    np.testing.assert_allclose(_sigmoid(logits), pairs, rtol=1e-9)
    np.testing.assert_array_equal(logits.argmax(-1), np.argmax(pairs, -1))


def test_decision_with_more_shots(learner, probability, make_episodes):
    x, _ = make_episodes(classes=3, kshot=3)
    pairs = np.array(
        [[probability(q, s) for s in x["support_images"][0]] for q in x["query_images"][0]]
    )
    log_odds = np.log(pairs / (1 - pairs))
    labels = x["support_labels"][0]
    expected = np.stack([log_odds[:, labels == n].mean(1) for n in range(3)], axis=1)
    np.testing.assert_allclose(learner(x)[0], expected, rtol=1e-8)


def test_a_new_learner_measures_a_distance(make_embedding, make_episodes):
    """Before training, pictures are the less the same the further apart they are."""
    x, _ = make_episodes(kshot=1)
    learner = SiameseNetwork(make_embedding(), dtype="float64")
    query, support = (
        np.array(learner.embedding(x[f"{part}_images"][0])) for part in ("query", "support")
    )
    expected = -np.abs(query[:, None] - support).mean(-1)
    np.testing.assert_allclose(learner(x)[0], expected, rtol=1e-10)


@pytest.mark.parametrize("classes", [2, 5, 60])
def test_pairs_are_balanced(classes):
    labels = np.random.default_rng(0).integers(0, classes, (2, 7))
    weights = np.array(pair_weights(labels, classes, "float64"))
    same = np.eye(classes, dtype=bool)[labels]
    np.testing.assert_allclose(weights[same], 0.5)
    np.testing.assert_allclose((weights * ~same).sum(-1), 0.5, rtol=1e-12)
    assert np.ptp(weights[~same]) < 1e-12


def test_with_one_class_all_pairs_are_the_same(learner, make_episodes):
    logits = np.array([[[0.3], [-2.0]]])
    np.testing.assert_array_equal(pair_weights(np.zeros((1, 2), int), 1), np.ones((1, 2, 1)))
    loss = BalancedPairsLoss(dtype="float64")(np.zeros((1, 2)), logits)
    assert float(loss) == pytest.approx(-np.log(_sigmoid(logits)).mean(), rel=1e-12)
    x, y = make_episodes(2, classes=1)
    learner.compile(keras.optimizers.SGD(0.1), BalancedPairsLoss(), run_eagerly=True)
    values = [learner.train_on_batch(x, y) for _ in range(2)]
    assert np.isfinite(values).all() and values[1] < values[0]
    assert all(np.isfinite(variable).all() for variable in learner.variables)


def test_loss_is_what_balanced_pairs_give_on_average():
    """Against pairs drawn at random: one of the same, one of different classes, a query picture."""
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(1, 4, 5)), np.array([[0, 3, 3, 1]])
    log_p, log_not_p = np.log(_sigmoid(logits))[0], np.log(_sigmoid(-logits))[0]
    losses = []
    for _ in range(20000):
        q = rng.integers(4)
        different = rng.choice([n for n in range(5) if n != labels[0, q]])
        losses.append(-(log_p[q, labels[0, q]] + log_not_p[q, different]) / 2)
    loss = float(BalancedPairsLoss(dtype="float64")(labels, logits))
    assert loss == pytest.approx(np.mean(losses), abs=5 * np.std(losses) / np.sqrt(20000))
    assert np.std(losses) / np.sqrt(20000) < 0.003

    exact = [
        -0.5 * log_p[q, n] - 0.5 * np.mean(np.delete(log_not_p[q], n))
        for q, n in enumerate(labels[0])
    ]
    assert loss == pytest.approx(np.mean(exact), rel=1e-12)


def test_training_learns_to_verify(learner, make_episodes, tmp_path):
    x, y = make_episodes(4, kshot=1, nquery=3)
    learner.compile(keras.optimizers.Adam(0.02), BalancedPairsLoss(), metrics=["accuracy"])
    for _ in range(60):
        learner.train_on_batch(x, y)
    query = x["query_images"].reshape(-1, 6, 6, 1)
    own, others = (
        np.roll(x["support_images"], shift, axis=1).repeat(3, axis=1).reshape(-1, 6, 6, 1)
        for shift in (0, 1)
    )
    same, different = learner.verify(own, query), learner.verify(others, query)
    assert np.mean(same) > np.mean(different) + 0.3
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    np.testing.assert_array_equal(loaded.verify(query, others), learner.verify(query, others))
