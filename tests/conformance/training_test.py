"""Plain Keras trains a learner."""

import keras
import numpy as np
import pytest


def test_training_lowers_the_loss(row, make_learner, make_batch, compiled):
    x, y = make_batch(2)
    learner = compiled(make_learner(), keras.optimizers.SGD(row.rate))
    losses = [learner.train_on_batch(x, y)[0] for _ in range(6)]
    assert losses[-1] < losses[0] - 0.01


def test_fit_evaluate_predict(row, make_learner, make_batch, compiled, values):
    """As a graph, and what they report is what the logits say."""
    row.has_a_loop()
    x, y = make_batch(4, "float64")
    learner, eager = (
        compiled(make_learner("float64"), keras.optimizers.SGD(row.rate), run_eagerly)
        for run_eagerly in (False, True)
    )
    history = learner.fit(x, y, batch_size=2, shuffle=False, validation_data=(x, y), verbose=0)
    for start in (0, 2):
        part = slice(start, start + 2)
        eager.train_on_batch({name: value[part] for name, value in x.items()}, y[part])
    for own, other in zip(values(learner.variables), values(eager.variables), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-5)

    logs = learner.evaluate(x, y, batch_size=4, return_dict=True, verbose=0)
    assert history.history["val_loss"][-1] == pytest.approx(logs["loss"], rel=1e-5)
    logits = learner.predict(x, batch_size=2, verbose=0)
    assert logits.shape == (4, 6, 3)
    np.testing.assert_allclose(logits, learner(x), rtol=1e-4, atol=1e-4)
    assert logs["accuracy"] == pytest.approx((logits.argmax(-1) == y).mean(), abs=1e-6)
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    right = np.take_along_axis(probabilities, y[..., None], -1)
    assert logs["loss"] == pytest.approx(-np.log(right).mean(), rel=1e-4)
