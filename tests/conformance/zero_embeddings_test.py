"""Where all that a network gives is exactly zero: a dead ReLU, a blank picture."""

import numpy as np
import pytest
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


def test_gradient_beside_a_zero_vector(row, make_learner, make_batch, compiled):
    """One blank picture in the support set and one in the query, among others.

    Without biases a network gives zero for it whatever its kernels are, so that the loss is smooth
    in them: the derivative is that of finite differences in float64.
    """
    x, y = make_batch(2, dtype="float64")
    for images in (value for name, value in x.items() if name.endswith("images")):
        images[0, 1] = 0
    learner = compiled(make_learner("float64", batch_norm=False))
    if not getattr(learner, "second_order", True):
        pytest.skip("its meta-gradient is of first order, and is no derivative of the loss")
    rng = np.random.default_rng(1)
    kernels = [v for v in learner.network.trainable_variables if len(v.shape) > 1]
    for variable in learner.network.trainable_variables:
        if len(variable.shape) == 1:
            variable.assign(np.zeros(variable.shape))
    blank = learner.network(np.zeros((1, 6, 6, 1)))
    np.testing.assert_array_equal(blank, np.zeros(blank.shape))
    direction = [rng.normal(size=kernel.shape) for kernel in kernels]
    start = [kernel.numpy() for kernel in kernels]

    def loss_at(distance):
        for kernel, value, way in zip(kernels, start, direction, strict=True):
            kernel.assign(value + distance * way)
        logits = np.array(learner(x, training=True))  # in float64, which a loss of Keras is not
        chosen = np.take_along_axis(logits, y[..., None], -1)[..., 0]
        return np.mean(np.log(np.exp(logits).sum(-1)) - chosen)

    numeric = (loss_at(1e-6) - loss_at(-1e-6)) / 2e-6
    loss_at(0.0)
    places = {id(v): n for n, v in enumerate(learner.trainable_variables)}
    gradient = learner.meta_gradient(x, y)
    found = sum(
        float(tf.reduce_sum(gradient[places[id(kernel)]] * way))
        for kernel, way in zip(kernels, direction, strict=True)
    )
    assert found == pytest.approx(numeric, rel=1e-4, abs=1e-6)
