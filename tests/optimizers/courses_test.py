"""Tests of Keras optimizers side by side: against gradient descent in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.optimizers import courses
from meta_keras.problems.held_out import HeldOutTask


def line_task(loss=None, outputs=1):
    """Three inputs, a bias; targets that a line reaches nearly."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 3)).astype(np.float32)
    y = (x @ rng.normal(size=(3, 1)) + 0.1).astype(np.float32)

    def make_model():
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(outputs)])

    loss = loss or keras.losses.MeanSquaredError()
    if isinstance(loss, keras.losses.SparseCategoricalCrossentropy):
        y = (y[:, 0] > 0).astype(np.int64)
    return HeldOutTask(make_model, loss, (x[:12], y[:12]), (x[12:], y[12:]), 4, "a line")


def descend(task, weights, seed, rates):
    """Gradient descent by hand on the same minibatches: losses before every step, and weights."""
    (x, y), (kernel, bias), losses = task.train, map(np.float64, weights), []
    for step, rate in enumerate(rates):
        chosen = tf.random.stateless_uniform([4], [seed, step], maxval=12, dtype=tf.int32).numpy()
        error = x[chosen] @ kernel + bias - y[chosen]
        losses.append(np.mean(error**2))
        kernel = kernel - rate * 2 * x[chosen].T @ error / 4
        bias = bias - rate * 2 * error.mean(axis=0)
    return losses, kernel, bias


def test_a_course_is_gradient_descent():
    task = line_task()
    course = courses.Course(task, keras.optimizers.SGD(), 6)
    for seed, rate in ((3, 0.05), (4, 0.1), (3, 0.05)):  # one graph, fresh starts
        [start] = courses.starts(task, [seed])
        losses, kernel, bias = descend(task, start, seed, [rate] * 6)
        np.testing.assert_allclose(course.run(start, seed, rate), losses, rtol=1e-4)
        x, y = task.held_out
        expected = np.mean((x @ kernel + bias - y) ** 2)
        found, accuracy = course.held_out()
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        assert accuracy is None


def test_a_course_with_momentum_begins_anew():
    task = line_task()
    course = courses.Course(task, keras.optimizers.Adam(0.1), 4)
    [start] = courses.starts(task, [1])
    np.testing.assert_array_equal(course.run(start, 1), course.run(start, 1))
    assert int(course.optimizer.iterations) == 4


def test_cosine_decay_of_a_rate_that_is_set_later():
    task, steps = line_task(), 5
    course = courses.Course(task, keras.optimizers.SGD(courses.CosineDecay(steps)), steps)
    for rate in (0.1, 0.02):
        [start] = courses.starts(task, [2])
        rates = rate * (1 + np.cos(np.pi * np.arange(steps) / steps)) / 2
        losses, *_ = descend(task, start, 2, rates)
        np.testing.assert_allclose(course.run(start, 2, rate), losses, rtol=1e-4)
    make = {name: make for name, (make, _) in courses.BASELINES.items()}
    assert [name for name in make if courses.decays(make[name])] == ["Adam, cosine"]


def test_accuracy_of_a_classification():
    task = line_task(keras.losses.SparseCategoricalCrossentropy(from_logits=True), outputs=2)
    found = courses.trainings(task, keras.optimizers.Adam(0.3), 40, [1, 2])
    assert [len(values) for values in found.values()] == [2, 2, 2]
    assert min(found["accuracy"]) >= 0.75 and max(found["training_loss"]) < 0.4


def test_rates_are_tried_further_where_the_best_is_at_an_end():
    task = line_task()
    found = courses.tuned_rates(
        task, lambda steps: keras.optimizers.SGD(), (1e-3, 2e-3), 60, [1, 2], [10, 60]
    )
    for rate, grid in found.values():
        assert grid[rate] == min(grid.values())
        assert min(grid) < rate < max(grid)  # both neighbours are there
        assert 1e-3 in grid and rate > 1e-2


def test_the_end_of_losses():
    losses = np.arange(40.0)[::-1]
    assert courses.end_of(losses) == 0.5  # of the last two
    assert courses.end_of(losses[:10]) == 30.0
    losses[-1] = np.nan
    assert courses.end_of(losses) == np.inf


@pytest.mark.parametrize("name", courses.BASELINES)
def test_every_baseline_learns(name):
    make, interval = courses.BASELINES[name]
    rate = None if interval is None else 0.05
    [start] = courses.starts(line_task(), [0])
    losses = courses.Course(line_task(), make(30), 30).run(start, 0, rate)
    assert np.isfinite(losses).all() and np.mean(losses[-5:]) < np.mean(losses[:5])
