"""Losses, metrics and weights: taken as the contract has them, or refused in words."""

import keras
import numpy as np
import pytest

from tests.conformance.refusals import assert_refused


def test_losses_of_probabilities_are_refused(make_learner):
    learner = make_learner()
    message = r"takes probabilities, and the outputs are logits; use .*logits"
    for loss in (
        "sparse_categorical_crossentropy",
        keras.losses.sparse_categorical_crossentropy,
        keras.losses.SparseCategoricalCrossentropy(),
        keras.losses.CategoricalCrossentropy(),
        ["categorical_crossentropy"],
        "kl_divergence",
        keras.losses.Poisson(),
        keras.losses.Tversky(),
    ):
        assert_refused(loss, message, learner.compile, "adam", loss)


def test_losses_that_compare_values_need_values(make_learner, make_batch):
    x, y = make_batch()
    learner = make_learner()
    learner.compile("adam", "mse", run_eagerly=True)
    with pytest.raises(ValueError, match="'mean_squared_error' compares values one by one"):
        learner.train_on_batch(x, y)
    learner.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True), run_eagerly=True)
    one_hot = learner.test_on_batch(x, np.eye(3, dtype="float32")[y])
    with pytest.raises(ValueError, match=r"query labels must be as many values .*, got \[4\]"):
        learner.train_on_batch(x, np.eye(4, dtype="float32")[y])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner.compile("sgd", loss, run_eagerly=True)
    assert learner.test_on_batch(x, y) == pytest.approx(one_hot, rel=1e-5)
    assert learner.test_on_batch(x, y[..., None]) == pytest.approx(one_hot, rel=1e-5)
    with pytest.raises(ValueError, match=r"query labels must be classes .* got \[1, 2, 3\]"):
        learner.train_on_batch(x, y[..., None] + 1)
    with pytest.raises(ValueError, match=r"takes class numbers, and .* shape \(6, 3\) an episode"):
        learner.train_on_batch(x, np.eye(3, dtype="int32")[y])


def test_metrics_that_do_not_fit_the_labels(make_learner, make_batch):
    x, y = make_batch()
    learner = make_learner()
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for metric in ("mse", keras.metrics.AUC(from_logits=True), keras.metrics.categorical_accuracy):
        learner.compile("sgd", sparse, metrics=["accuracy", metric], run_eagerly=True)
        with pytest.raises(ValueError, match="metric='.*' compares values one by one"):
            learner.test_on_batch(x, y)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    learner.compile("sgd", loss, weighted_metrics=["sparse_categorical_accuracy"], run_eagerly=True)
    with pytest.raises(ValueError, match="metric='sparse_categorical_accuracy' takes class numb"):
        learner.test_on_batch(x, np.eye(3, dtype="float32")[y])
    for metric in (
        "binary_accuracy",
        "sparse_categorical_crossentropy",
        keras.metrics.AUC(),
        keras.metrics.Precision(),
        keras.metrics.KLDivergence(),
    ):
        with pytest.raises(
            ValueError, match="metric='.*' takes probabilities, and the outputs are"
        ):
            learner.compile("sgd", sparse, metrics=[metric])
    iou = keras.metrics.MeanIoU(3, sparse_y_pred=False)
    metrics = ["accuracy", "sparse_top_k_categorical_accuracy", iou]
    learner.compile("sgd", sparse, metrics=metrics, run_eagerly=True)
    assert len(learner.test_on_batch(x, y)) == 4


def test_weights_of_classes_are_refused_and_of_samples_obeyed(make_learner, make_batch, compiled):
    x, y = make_batch(2)
    learner = compiled(make_learner())
    for train in (learner.fit, learner.train_on_batch):
        with pytest.raises(ValueError, match="class_weight.*has no meaning"):
            train(x, y, class_weight={0: 2.0})
    alone = {name: part[:1] for name, part in x.items()}
    expected = learner.test_on_batch(alone, y[:1])[0]
    weights = np.array([2.0, 0.0])
    assert learner.evaluate(x, y, sample_weight=weights, verbose=0)[0] == pytest.approx(
        expected, rel=1e-5
    )
    message = r"sample_weight must be \[B\].* here \(2,\) or \(2, 6\)"
    for wrong in (np.ones((2, 5)), np.ones((2, 6, 3)), np.ones((2, 1))):
        with pytest.raises(ValueError, match=message):
            learner.test_on_batch(x, y, sample_weight=wrong)
    with pytest.raises(ValueError, match=message):
        learner.evaluate(x, y, sample_weight=wrong, verbose=0)
    weights = np.zeros(y.shape)
    weights[0] = 2.0
    assert learner.evaluate(x, y, sample_weight=weights, verbose=0)[0] == pytest.approx(
        expected, rel=1e-5
    )
