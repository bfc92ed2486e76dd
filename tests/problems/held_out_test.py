"""Tests of the tasks that no optimizer here is trained on."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from meta_keras.problems import held_out, mixture

KINDS = {"mnist": ((28, 28, 1), 10), "cifar100": ((32, 32, 3), 20), "omniglot": ((28, 28, 1), 20)}


@pytest.fixture
def few(monkeypatch):
    """Few examples, so that little is read."""
    monkeypatch.setattr(held_out, "TRAINING", 200)
    monkeypatch.setattr(held_out, "HELD_OUT", 100)


@pytest.fixture
def noise(few, monkeypatch):
    """Pictures of noise in place of the sets on disk."""

    def parts(name, *folders):
        shape, classes = KINDS[name.partition(":")[0]]
        rng = np.random.default_rng(0)
        return tuple(
            (rng.uniform(size=(count, *shape)).astype("float32"), np.arange(count) % classes)
            for count in (200, 100)
        )

    monkeypatch.setattr(held_out, "_pictures", parts)
    monkeypatch.setattr(held_out, "_characters", lambda *folders: parts("omniglot"))


def models_of_the_mixture(monkeypatch):
    def small_pictures(name, data_dir=None):
        shape, classes = {"mnist": ((14, 14, 1), 10), "cifar": ((8, 8, 3), 20)}[name]
        return np.zeros((20, *shape), "float32"), np.arange(20) % classes

    monkeypatch.setattr(mixture, "small_pictures", small_pictures)
    monkeypatch.setattr(mixture, "_problem", lambda model, data, batch_size: model)
    return [*mixture.training_tasks().values(), *mixture.validation_tasks().values()]


def shapes(model):
    return tuple(tuple(v.shape) for v in model.trainable_variables)


def test_networks_and_data_fit_and_no_optimizer_is_trained_on_them(noise, monkeypatch):
    tasks = held_out.held_out_tasks()
    assert len(tasks) == 13
    found = {}
    for name, task in tasks.items():
        model = task.make_model()
        found[name] = shapes(model)
        for x, y in (task.train, task.held_out):
            outputs = model(x[:8])
            loss = float(task.loss(y[:8], outputs))
            assert len(x) == len(y) and np.isfinite(loss), name
            if task.classifies:
                assert y.shape.rank == 1 and int(tf.reduce_max(y)) < outputs.shape[1]
                assert loss < 2 * np.log(outputs.shape[1])
            else:
                assert outputs.shape == y[:8].shape
        assert isinstance(task.distance, str) and task.distance
    seen = [shapes(model) for model in models_of_the_mixture(monkeypatch)]
    assert len(seen) == 26 and not set(seen) & set(found.values())
    x, y = tasks["MNIST, an autoencoder"].held_out
    np.testing.assert_array_equal(np.reshape(x, [len(x), -1]), y)
    classifying = [task.classifies for task in tasks.values()]
    assert classifying.count(False) == 2


def test_initial_weights_are_by_the_global_seed(noise):
    make, found = held_out.held_out_tasks()["MNIST, 20 ReLU"].make_model, []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        found.append(make().get_weights()[0])
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any() and abs(found[0].std() - 0.01) < 1e-3


def test_real_pictures(few, omniglot_dir):
    """Pixels from 0 to 1; drawings of other people, of the same characters; no picture twice."""
    for name in ("mnist", "cifar100"):
        if not (pathlib.Path(omniglot_dir) / name).is_dir():
            pytest.skip(f"no prepared {name} in the folder of Omniglot")
    tasks = held_out.held_out_tasks(omniglot_dir)
    for name, counts, classes in (
        ("MNIST, 256 GELU", (200, 100), 10),
        ("CIFAR-100, residual convolutions", (200, 100), 20),
        ("Omniglot, 20 characters", (300, 100), 20),
    ):
        parts = [tasks[name].train, tasks[name].held_out]
        for (x, y), count in zip(parts, counts, strict=True):
            assert len(x) == len(y) == count and x.dtype == tf.float32
            assert float(tf.reduce_min(x)) == 0.0 and 0.9 < float(tf.reduce_max(x)) <= 1.0
            assert set(np.array(y)) == set(range(classes))
        assert not rows_of(parts[0][0]) & rows_of(parts[1][0])
    drawings = np.bincount(tasks["Omniglot, 20 characters"].held_out[1])
    np.testing.assert_array_equal(drawings, np.full(20, 5))


def rows_of(x):
    return {row.tobytes() for row in np.array(x)}


def test_pictures_have_all_their_pixels(few, monkeypatch):
    """Through TFDS' own mock."""
    with tfds.testing.mock_data(num_examples=8):
        monkeypatch.setattr(held_out, "prepare", lambda builder: None)
        found = held_out._pictures("cifar100:3.0.2", "coarse_label", "/nowhere")
        for (x, y), split in zip(found, ("train", "test"), strict=True):
            raw = list(tfds.load("cifar100:3.0.2", split=split).as_numpy_iterator())
            np.testing.assert_allclose(x, np.array([r["image"] for r in raw]) / 255, rtol=1e-6)
            np.testing.assert_array_equal(y, [r["coarse_label"] for r in raw])


def test_the_table_is_friedmans():
    """Least squares on his function leave noise of deviation 1, in units of it."""
    parts = held_out._friedman()
    assert [x.shape for x, _ in parts] == [(2000, 10), (1000, 10)]
    assert not rows_of(parts[0][0]) & rows_of(parts[1][0])
    x, y = (np.concatenate(column).astype(np.float64) for column in zip(*parts, strict=True))
    assert x.min() >= 0 and x.max() < 1 and y.shape == (3000, 1)
    np.testing.assert_allclose([y.mean(), y.std()], [0, 1], atol=1e-5)
    a, b, c, d, e = x.T[:5]
    function = 10 * np.sin(np.pi * a * b) + 20 * np.square(c - 0.5) + 10 * d + 5 * e
    columns = np.stack([function, np.ones(3000), *x.T[5:]], axis=1)
    (slope, _, *others), [squares], *_ = np.linalg.lstsq(columns, y[:, 0], rcond=None)
    assert abs(np.sqrt(squares / 3000) / slope - 1) < 0.05 and 4.5 < 1 / slope < 5.5
    np.testing.assert_allclose(others, 0, atol=0.05)


def test_answers_to_sequences_follow_the_mark(few):
    parts = held_out._sequences()
    assert not rows_of(parts[0][0]) & rows_of(parts[1][0])
    for (x, y), count in zip(parts, (200, 100), strict=True):
        assert x.shape == (count, 12) and y.shape == (count,)
        for tokens, answer in zip(x.tolist(), y, strict=True):
            assert [token % 12 for token in tokens] == list(range(12))
            symbols = [token // 12 for token in tokens]
            assert symbols.count(8) == 1 and symbols[symbols.index(8) + 1] == answer < 8
        assert set(y.tolist()) == set(range(8))
