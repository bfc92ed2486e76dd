"""Tests of the answer "none of these": what leaving out tells, and the threshold."""

import keras
import numpy as np
import pytest

from meta_keras import MatchingNetwork, PrototypicalNetwork, SimpleShot
from meta_keras.recognition import (
    HEADS,
    Recognizer,
    leave_one_out,
    rejection_rates,
    rejection_threshold,
)

LABELS = np.array([0, 0, 1, 1, 1, 2])


def points():
    """Embeddings of three classes, the third of a single example: float32 [6, 2]."""
    rng = np.random.default_rng(0)
    return np.float32(np.array([[0, 0], [5, 0], [0, 5]])[LABELS] + rng.normal(size=(6, 2)))


@pytest.fixture
def identity():
    inputs = keras.Input((2,))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


@pytest.fixture
def features():
    """A network that gives what it takes, `[n, 12]`."""
    inputs = keras.Input((12,))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


def on_a_base(features):
    learner = SimpleShot(features, centre="base")
    learner.centre_on(np.random.default_rng(3).random((5, 12), np.float32))
    return learner


REJECTING = {
    "prototypical": PrototypicalNetwork,
    "cosine": lambda features: PrototypicalNetwork(features, "cosine", temperature=0.1),
    "l2n": HEADS["l2n"],
    "base": on_a_base,
}


def best(learner, x, labels, left_out):
    """The highest logit of x[left_out] by a classifier of the examples that remain."""
    _, labels = np.unique(labels, return_inverse=True)
    return float(np.max(learner.adapt(x, labels)(left_out[None])))


@pytest.mark.parametrize("name", REJECTING)
@pytest.mark.parametrize("sizes", [(2, 3, 1, 4), (3, 2), (1, 1), (1, 1, 1)])
def test_leaving_out_is_doing_without(features, name, sizes):
    """Classifiers are made anew, of the remaining examples alone, and asked."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    x = np.random.default_rng(1).random((len(labels), 12), np.float32)
    learner = REJECTING[name](features)
    known, strangers = [], []
    for place, label in enumerate(labels):
        others, kept = np.arange(len(labels)) != place, labels != label
        if sizes[label] > 1:
            known.append(best(learner, x[others], labels[others], x[place]))
        strangers.append(best(learner, x[kept], labels[kept], x[place]))
    found = leave_one_out(learner, x, labels)
    np.testing.assert_allclose(found[0], known, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[1], strangers, rtol=1e-5, atol=1e-5)


def test_leaving_out_embeds_once_and_compares_in_one_go(features, monkeypatch):
    """Time grows with the number of pairs of an example and a class, not of examples."""
    monkeypatch.setattr(SimpleShot, "compare", None)
    learner, calls = HEADS["l2n"](features), []
    embed = learner.embed
    monkeypatch.setattr(SimpleShot, "embed", lambda _, x: calls.append(len(x)) or embed(x))
    leave_one_out(learner, np.random.default_rng(0).random((40, 12)), np.arange(40) % 8)
    assert calls == [40]


def kinds(number, size, seed=0):
    """Features of pictures of many kinds, of which each is alike: `[number, size, 64]`."""
    rng = np.random.default_rng(seed)
    centres, noise = rng.normal(size=(number, 1, 64)), rng.normal(size=(number, size, 64))
    return np.float32(np.maximum(centres + 0.5 * noise, 0))


@pytest.mark.parametrize("ways", [2, 3, 5])
def test_strangers_are_rejected_and_pictures_of_classes_are_not(ways, shots=5):
    inputs = keras.Input((64,))
    learner = HEADS["l2n"](keras.Model(inputs, keras.layers.Identity()(inputs)))
    x = kinds(ways + 10, shots + 15)
    labels = np.repeat(np.arange(ways), shots)
    recognizer = Recognizer(learner, x[:ways, :shots].reshape(-1, 64), labels, reject=True)
    mine = recognizer(x[:ways, shots:].reshape(-1, 64)).argmax(axis=1)
    assert (mine == np.repeat(np.arange(ways), 15)).mean() > 0.85
    others = recognizer(x[ways:].reshape(-1, 64)).argmax(axis=1)
    assert (others == ways).mean() > 0.7
    rates = recognizer.left_out
    assert rates["known"] == rates["strangers"] == ways * shots
    assert rates["known_accepted"] > 0.85 and rates["strangers_rejected"] > 0.7


@pytest.mark.parametrize("ways", [2, 3, 5])
def test_few_single_examples(features, ways, draws=400):
    """The threshold is how alike the two most alike classes are.

    A stranger that is one more of the same kind is rejected where it has no part in the most alike
    of all pairs: N (N - 1) / 2 of N (N + 1) / 2 pairs are without it.
    """
    learner, rng, rejected = HEADS["l2n"](features), np.random.default_rng(0), []
    for _ in range(draws):
        x = rng.normal(size=(ways + 1, 12)).astype(np.float32)
        threshold = rejection_threshold(*leave_one_out(learner, x[:-1], np.arange(ways)))
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        distances = np.square(unit[:, None] - unit).sum(axis=-1)
        np.fill_diagonal(distances, np.inf)
        assert threshold == pytest.approx(-10 * distances[:-1, :-1].min(), abs=1e-4)
        rejected.append(-10 * distances[-1].min() < threshold)
    expected = (ways - 1) / (ways + 1)
    deviation = np.sqrt(expected * (1 - expected) / draws)
    assert np.mean(rejected) == pytest.approx(expected, abs=4 * deviation)


def test_rates_are_shares():
    rates = rejection_rates(2, np.array([1, 2, 3, 4.0]), np.array([1, 2, 3, 0, 1.5]))
    assert rates["known"] == 4 and rates["known_accepted"] == 0.75
    assert rates["strangers"] == 5 and rates["strangers_rejected"] == 0.6


def test_threshold_is_the_best_of_all():
    rng = np.random.default_rng(1)
    known, strangers = rng.normal(1, 1, 40), rng.normal(-1, 1, 30)

    def quality(t):
        return (known >= t).mean() + (strangers < t).mean()

    found = quality(rejection_threshold(known, strangers))
    assert found == pytest.approx(max(map(quality, np.linspace(-5, 5, 20001))))
    assert rejection_threshold(np.array([3.0, 4.0]), np.array([0.0, 1.0])) == 2


def test_single_examples_reject_four_of_five_strangers():
    strangers = np.arange(10.0)
    assert (strangers < rejection_threshold(np.array([]), strangers)).mean() == 0.8


@pytest.mark.parametrize("make", [PrototypicalNetwork, HEADS["l2n"]])
def test_what_is_far_from_all_is_none_of_these(identity, make):
    x = points() + 3  # Angles tell the classes apart, too.
    recognizer = Recognizer(make(identity), x, LABELS, reject=True)
    far = np.float32([[-40, -40]])
    answers = recognizer(np.concatenate([x, far]))
    assert answers.shape == (7, 4)
    np.testing.assert_allclose(answers.sum(axis=1), 1)
    assert answers[-1].argmax() == 3
    # Without that answer, the others have the same shares.
    plain = Recognizer(make(identity), x, LABELS)(x)
    shares = answers[:6, :3] / answers[:6, :3].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, plain, rtol=1e-4, atol=1e-6)


def test_the_model_says_the_same(identity):
    x = points()
    for reject in (False, True):
        recognizer = Recognizer(PrototypicalNetwork(identity), x, LABELS, reject)
        np.testing.assert_allclose(recognizer.model()(x), recognizer(x), rtol=1e-5, atol=1e-6)


def test_others_cannot_reject(identity):
    with pytest.raises(ValueError, match="MatchingNetwork cannot reject"):
        Recognizer(MatchingNetwork(identity), points(), LABELS, reject=True)
    with pytest.raises(ValueError, match="centre='support' cannot reject.*take centre='none'"):
        Recognizer(SimpleShot(identity), points(), LABELS, reject=True)
    with pytest.raises(ValueError, match="2 classes at least"):
        leave_one_out(PrototypicalNetwork(identity), points()[:2], LABELS[:2])
