"""Where all that a network gives is exactly zero: a dead ReLU, a blank picture."""

import numpy as np
import tensorflow as tf


def test_loss_and_gradient_are_finite(row, make_learner, make_batch, compiled, values):
    """Also after training on it, and for one picture of many."""
    x, y = make_batch(2)
    learner = compiled(make_learner())
    for variable in learner.network.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    for gradient in learner.meta_gradient(x, y):
        assert np.isfinite(np.array(tf.convert_to_tensor(gradient))).all()
    for _ in range(2):
        assert np.isfinite(learner.train_on_batch(x, y)[0])
    assert all(np.isfinite(value).all() for value in values(learner.variables))
    assert np.isfinite(learner.adapt(*row.classes_of(x))(x["query_images"][0])).all()
