"""Tests of Meta-SGD's cell."""

import numpy as np
import tensorflow as tf

from meta_keras.layers import MetaSGDCell


def test_step_by_hand():
    cell = MetaSGDCell(dtype="float64")
    cell.build((3,))
    cell.alpha.assign([0.25, 2.0, -1.0])
    theta = tf.constant([1.0, -2.0, 0.5], tf.float64)
    gradient = tf.constant([4.0, 0.5, -1.0], tf.float64)
    after, state = cell(gradient, tf.constant(7.0, tf.float64), theta, cell.initial_state(theta))
    np.testing.assert_array_equal(after, [0.0, -3.0, -0.5])
    assert state == ()


def test_rates_start_as_in_the_paper():
    cell = MetaSGDCell()
    cell.build((2000,))
    alpha = np.array(cell.alpha)
    assert alpha.shape == (2000,)
    assert 0.005 <= alpha.min() < 0.006 and 0.099 < alpha.max() <= 0.1
    assert [variable.name for variable in cell.trainable_variables] == ["alpha"]
