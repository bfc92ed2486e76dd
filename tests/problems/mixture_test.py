"""Tests of the tasks that an optimizer for any network is trained on."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from meta_keras.problems import mixture


@pytest.fixture
def pictures(monkeypatch):
    """Two hundred pictures of noise in place of TFDS' sets."""

    def small_pictures(name, data_dir=None):
        rng = np.random.default_rng(0)
        shape, classes = {"mnist": ((14, 14, 1), 10), "cifar": ((8, 8, 3), 20)}[name]
        return rng.normal(size=(200, *shape)).astype("float32"), rng.integers(0, classes, 200)

    monkeypatch.setattr(mixture, "small_pictures", small_pictures)


def test_tasks_are_of_many_kinds(pictures):
    training, validation = mixture.training_tasks(), mixture.validation_tasks()
    assert len(training) == 18 and len(validation) == 8 and not set(training) & set(validation)
    sizes = [task.size for task in training.values()]
    assert min(sizes) == 33 and max(sizes) > 50_000
    ranks = {len(v.shape) for task in training.values() for v in task.variables}
    assert ranks == {1, 2, 3, 4}
    for task in (*training.values(), *validation.values()):
        seeds, step = [tf.constant(n, tf.int64) for n in (0, 1)], tf.constant(0, tf.int64)
        losses = [float(task.loss(task.initial_parameters(n), n, step)) for n in seeds]
        assert np.isfinite(losses).all() and losses[0] != losses[1]


def test_pictures_are_means_of_pixels(monkeypatch):
    """Through TFDS' own mock: shapes, scale, and that neighbours are averaged."""
    mixture.small_pictures.cache_clear()
    with tfds.testing.mock_data(num_examples=8):
        monkeypatch.setattr(mixture, "prepare", lambda builder: None)
        found, labels = mixture.small_pictures("cifar", "/nowhere")
        raw = [
            row["image"] for row in tfds.load("cifar100:3.0.2", split="train").as_numpy_iterator()
        ]
    mixture.small_pictures.cache_clear()
    assert found.shape == (8, 8, 8, 3) and labels.shape == (8,) and labels.max() < 20
    expected = np.float64(raw[:8])[:, 4:8, 8:12].mean(axis=(1, 2))
    everything = np.float64(raw[:8]).reshape(8, 8, 4, 8, 4, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(
        found[:, 1, 2], (expected - everything.mean()) / everything.std(), rtol=1e-4, atol=1e-5
    )


def test_questions_about_sequences_have_the_answers_they_say():
    x, y = mixture._first(examples=50)
    assert x.shape == (50, 6) and (y == x[:, 0]).all()
    x, y = mixture._pointed_at(examples=50)
    assert x.shape == (50, 6, 6) and (x.sum(axis=2) == 1).all()
    for numbers, answer in zip(x.argmax(axis=2), y, strict=True):
        assert numbers[numbers[0]] == answer
