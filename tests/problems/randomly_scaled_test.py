"""Tests of random scaling."""

import numpy as np
import pytest
import tensorflow as tf

from meta_keras.errors import SettingError
from meta_keras.problems import Problem, Quadratic, RandomlyScaled


@pytest.fixture
def problem():
    return Quadratic(dimensions=3, batch=4)


def test_the_same_function_in_other_coordinates(problem):
    """f(c theta) from theta_0 / c, with one factor for every coordinate."""
    scaled, seed, step = RandomlyScaled(problem, 2.0), tf.constant(7, tf.int64), 5
    factors = np.asarray(scaled.factors(seed))
    assert factors.shape == (12,) and len(set(factors)) == 12
    assert np.exp(-2) <= factors.min() < 0.7 and 1.4 < factors.max() <= np.exp(2)
    start = scaled.initial_parameters(seed)
    np.testing.assert_allclose(start * factors, problem.initial_parameters(seed), rtol=1e-6)
    np.testing.assert_allclose(
        scaled.loss(start, seed, step),
        problem.loss(problem.initial_parameters(seed), seed, step),
        rtol=1e-5,
    )
    theta = np.random.default_rng(0).normal(size=12).astype("float32")
    expected = problem.loss(tf.constant(factors * theta), seed, step)
    np.testing.assert_allclose(scaled.loss(tf.constant(theta), seed, step), expected, rtol=1e-6)


def test_pure_functions_of_the_seed(problem):
    scaled, again = RandomlyScaled(problem, 1.0), RandomlyScaled(problem, 1.0)
    one, two = tf.constant(1, tf.int64), tf.constant(2, tf.int64)
    np.testing.assert_array_equal(scaled.factors(one), again.factors(one))
    assert np.abs(scaled.factors(one) - scaled.factors(two)).min() > 1e-4
    start = scaled.initial_parameters(one)
    np.testing.assert_array_equal(start, again.initial_parameters(one))
    np.testing.assert_array_equal(scaled.loss(start, one, two), again.loss(start, one, two))


def test_the_factors_are_those_of_the_seed_and_the_number_99(problem):
    """The draw that trainings of every version have had."""
    seed = tf.constant(3, tf.int64)
    exponent = tf.random.stateless_uniform(
        [12], tf.random.fold_in([seed, 0], 99), minval=-0.5, maxval=0.5
    )
    np.testing.assert_array_equal(RandomlyScaled(problem, 0.5).factors(seed), tf.exp(exponent))


def test_it_is_a_problem_like_the_one_it_scales(problem):
    problem.variables, problem.second_order = ["kernel"], False
    scaled = RandomlyScaled(problem, 1.0)
    assert isinstance(scaled, Problem)
    assert (scaled.size, scaled.variables, scaled.second_order) == (12, ["kernel"], False)
    assert Problem.second_order is True


@pytest.mark.parametrize("scale", [-1.0, 0.0, float("nan"), float("inf")])
def test_bad_scale(problem, scale):
    with pytest.raises(SettingError, match=f"RandomlyScaled: scale={scale} must be positive"):
        RandomlyScaled(problem, scale)


def test_numbers_set_later_are_obeyed_or_refused(problem):
    """A graph holds those that it was made with."""
    scaled, seed = RandomlyScaled(problem, 1.0), tf.constant(5, tf.int64)
    for bad in (0.0, None):
        with pytest.raises(SettingError, match=f"scale={bad} must be positive"):
            scaled.scale = bad
    scaled.scale = 0.5
    expected = RandomlyScaled(problem, 0.5).initial_parameters(seed)
    np.testing.assert_array_equal(scaled.initial_parameters(seed), expected)
    tf.function(scaled.initial_parameters)(seed)
    with pytest.raises(SettingError, match="RandomlyScaled: scale=2.0 is set too late"):
        scaled.scale = 2.0
    for one, name, value in ((scaled, "problem", problem), (problem, "batch", 5)):
        with pytest.raises(SettingError, match=f"{type(one).__name__}: {name} cannot be replaced"):
            setattr(one, name, value)
