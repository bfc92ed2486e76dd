"""Tests of the answer "none of these": what leaving out tells, and the threshold."""

import keras
import numpy as np
import pytest

from meta_keras import MatchingNetwork, PrototypicalNetwork, SimpleShot
from meta_keras.recognition import Recognizer, leave_one_out, rejection_threshold

LABELS = np.array([0, 0, 1, 1, 1, 2])


def points():
    """Embeddings of three classes, the third of a single example: float32 [6, 2]."""
    rng = np.random.default_rng(0)
    return np.float32(np.array([[0, 0], [5, 0], [0, 5]])[LABELS] + rng.normal(size=(6, 2)))


@pytest.fixture
def identity():
    inputs = keras.Input((2,))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


def distances(x, labels, query):
    means = [x[labels == label].mean(axis=0) for label in np.unique(labels)]
    return [float(((query - mean) ** 2).sum()) for mean in means]


def test_leaving_out_is_taking_means_without(identity):
    x = points()
    known, strangers = leave_one_out(PrototypicalNetwork(identity), x, LABELS)
    expected_known, expected_strangers = [], []
    for place in range(6):
        others = np.arange(6) != place
        if place < 5:  # The third class would have none.
            expected_known.append(-min(distances(x[others], LABELS[others], x[place])))
        kept = LABELS[place] != LABELS
        expected_strangers.append(-min(distances(x[kept], LABELS[kept], x[place])))
    np.testing.assert_allclose(known, expected_known, rtol=1e-5)
    np.testing.assert_allclose(strangers, expected_strangers, rtol=1e-5)


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


@pytest.mark.parametrize("make", [PrototypicalNetwork, SimpleShot])
def test_what_is_far_from_all_is_none_of_these(identity, make):
    x = points() + 3  # Angles tell the classes apart, too.
    recognizer = Recognizer(make(identity), x, LABELS, reject=True)
    far = np.float32([[40, 40]])
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
    with pytest.raises(ValueError, match="2 classes at least"):
        leave_one_out(PrototypicalNetwork(identity), points()[:2], LABELS[:2])
