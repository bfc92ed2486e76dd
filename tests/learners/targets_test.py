"""Targets that are no classes: of which shapes and types they are taken."""

import keras
import numpy as np
import pytest

from meta_keras import MAML, Reptile
from meta_keras.layers import GradientDescentCell
from tests.learners.regression import MSE, regression_batch, regressor, small_network


class Own(keras.losses.Loss):
    """Of the user's; it would broadcast [S] against [S, 1]."""

    def call(self, y_true, y_pred):
        return (y_true - y_pred) ** 2


def test_targets_with_and_without_a_last_axis():
    learner = MAML(
        small_network(),
        GradientDescentCell(0.3, dtype="float64"),
        inner_loss=MSE(),
        dtype="float64",
    )
    x, y = regression_batch()
    flat = {**x, "support_labels": x["support_labels"][..., 0]}
    np.testing.assert_allclose(learner(flat), learner(x), rtol=1e-6)
    learner.compile("sgd", "mse", run_eagerly=True)
    assert learner.test_on_batch(flat, y[..., 0]) == pytest.approx(learner.test_on_batch(x, y))


def test_targets_of_integer_pictures_stay_what_they_are():
    """Not cut to the pictures' type, so that a call says what `adapt` says."""
    x, _ = regression_batch()
    learner = MAML(small_network(dtype="float32"), GradientDescentCell(0.3), inner_loss=MSE())
    pictures = {name: (10 * x[name]).astype("int32") for name in ("support_images", "query_images")}
    logits = learner({**x, **pictures})
    floats = {name: value.astype("float32") for name, value in pictures.items()}
    np.testing.assert_allclose(logits, learner({**x, **floats}), rtol=1e-5)
    adapted = learner.adapt(pictures["support_images"][0], x["support_labels"][0])
    np.testing.assert_allclose(adapted(floats["query_images"][0]), logits[0], rtol=1e-4)


@pytest.mark.parametrize("loss", [MSE(), "mae", Own()])
def test_one_output_with_and_without_a_last_axis(loss):
    x, _ = regression_batch()
    learner = regressor(small_network(), loss=loss)
    flat = {**x, "support_labels": x["support_labels"][..., 0]}
    np.testing.assert_allclose(learner(flat), learner(x), rtol=1e-9)
    scalars = [learner.adaptation_summaries(x, y)[0] for y in (np.ones((2, 5)), np.ones((2, 5, 1)))]
    assert scalars[0] == scalars[1]


@pytest.mark.parametrize(
    ("outputs", "shape"), [(1, (2, 4, 3)), (4, (2, 4)), (3, (2, 4, 1)), (3, (2, 4, 3, 1))]
)
def test_targets_of_another_shape_are_not_broadcast(outputs, shape):
    """Four support pictures of four outputs included, whose errors would be those of a table."""
    x, y = regression_batch(outputs)
    learner = MAML(small_network(outputs, "float32"), inner_loss=MSE())
    learner.compile("sgd", "mse", run_eagerly=True)
    message = r"must be as many values as there are outputs for a picture, got"
    wrong = {**x, "support_labels": np.ones(shape)}
    for use in (learner, lambda x: learner.fit(x, y, verbose=0)):
        with pytest.raises(ValueError, match=f"MAML: support_labels {message}"):
            use(wrong)
    with pytest.raises(ValueError, match=f"MAML: support_labels {message}"):
        learner.adapt(x["support_images"][0], np.ones(shape[1:]))
    targets = np.ones((2, 5, *shape[2:]))
    with pytest.raises(ValueError, match=f"MAML: query labels {message}"):
        learner.fit(x, targets, verbose=0)


def test_targets_of_another_rank_later():
    """A step whose shapes Keras has relaxed says what to do."""
    x, y = regression_batch()
    learner = MAML(small_network(dtype="float32"), inner_loss=MSE())
    learner.compile("sgd", "mse", jit_compile=False)
    learner.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match="another number of axes than before: call `compile` aga"):
        learner.fit(x, y[..., 0], verbose=0)
    learner.compile("sgd", "mse", jit_compile=False)
    learner.fit(x, y[..., 0], verbose=0)


def test_float_targets_need_an_inner_loss():
    x, y = regression_batch()
    for learner in (MAML(small_network(2)), Reptile(small_network(2))):
        learner.compile("adam", "mse")
        with pytest.raises(ValueError, match="integers from 0 to N-1.*inner_loss"):
            learner.fit(x, y, verbose=0)
    wrong = {**x, "support_labels": x["support_labels"][:, :-1]}
    with pytest.raises(ValueError, match=r"one target for each of the 4 support_images"):
        MAML(small_network(), inner_loss=MSE())(wrong)
