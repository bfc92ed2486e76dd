"""Tests of SimpleShot against NumPy."""

import keras
import numpy as np
import pytest

from meta_keras.learners import SimpleShot


@pytest.fixture
def make_learner(make_embedding):
    def make(**kwargs):
        return SimpleShot(make_embedding(), dtype="float64", **kwargs)

    return make


def reference(learner, x, centre, temperature):
    """Wang et al. 2019, section 2: CL2N and the nearest class mean, for the first episode."""
    support, query = (
        np.array(learner.embedding(x[name][0])) for name in ("support_images", "query_images")
    )
    labels = x["support_labels"][0]
    classes = range(labels.max() + 1)
    if centre is None:
        centre = np.mean([support[labels == n].mean(0) for n in classes], axis=0)
    support, query = (
        (part - centre) / np.linalg.norm(part - centre, axis=1, keepdims=True)
        for part in (support, query)
    )
    means = [support[labels == n].mean(0) for n in classes]
    return np.array([[-np.sum((z - c) ** 2) / temperature for c in means] for z in query])


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_equation(make_learner, make_episodes, temperature):
    """Also of a classifier for a support set of unequal classes: each counts the same in m."""
    x, _ = make_episodes(kshot=3)
    base = np.random.default_rng(1).normal(size=(7, 4))
    for name, centre in (("support", None), ("none", 0.0), ("base", base.mean(axis=0))):
        learner = make_learner(centre=name, temperature=temperature)
        if name == "base":
            learner.centre_on(base)
        expected = reference(learner, x, centre, temperature)
        np.testing.assert_allclose(learner(x)[0], expected, rtol=1e-10)
        unequal = {
            **{key: x[key][:, [0, 1, 2, 4, 7, 8]] for key in ("support_images", "support_labels")},
            "query_images": x["query_images"],
        }
        classifier = learner.adapt(unequal["support_images"][0], unequal["support_labels"][0])
        expected = reference(learner, unequal, centre, temperature)
        np.testing.assert_allclose(classifier(x["query_images"][0]), expected, rtol=1e-9)


def test_the_mean_of_base_classes_is_saved(make_learner, make_episodes, tmp_path):
    x, _ = make_episodes()
    learner = make_learner(centre="base")
    without = np.array(learner(x))
    learner.centre_on(np.full((2, 4), 0.3).tolist())
    assert np.abs(np.array(learner(x)) - without).max() > 1e-3
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    np.testing.assert_array_equal(loaded(x), learner(x))
    assert not learner.base_mean.trainable


def test_refusals(make_learner, make_embedding):
    with pytest.raises(ValueError, match="SimpleShot: centre must be one of .*'support'.*'mean'"):
        SimpleShot(make_embedding(), centre="mean")
    with pytest.raises(ValueError, match="SimpleShot: temperature must be positive, got 0"):
        SimpleShot(make_embedding(), temperature=0)
    with pytest.raises(ValueError, match="centre='support' takes no mean of base classes"):
        make_learner().centre_on(np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r"features must be \[n, 4\], got \[2, 3\]"):
        make_learner(centre="base").centre_on(np.zeros((2, 3)))
