"""Networks in mixed precision inside a learner that keeps its numbers in float32."""

import keras
import numpy as np

POLICY = "mixed_bfloat16"


def test_close_to_single_precision(row, make_learner, make_batch):
    x, _ = make_batch(2)
    learner = make_learner(POLICY)
    assert {variable.dtype for variable in learner.trainable_variables} == {"float32"}
    assert learner(x).dtype == "float32"
    logits, expected = np.array(learner(x)), np.array(make_learner()(x))
    assert 0 < np.abs(logits - expected).max() < 0.1 * np.abs(expected).max()


def test_training_saving_and_adapting(row, make_learner, make_batch, compiled, values, tmp_path):
    x, y = make_batch(2)
    learner = compiled(make_learner(POLICY))
    before = values(learner.trainable_variables)
    learner.train_on_batch(x, y)
    for old, new in zip(before, values(learner.trainable_variables), strict=True):
        assert np.isfinite(new).all() and np.abs(new - old).max() > 0
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    np.testing.assert_array_equal(loaded(x), learner(x))
    classifier = learner.adapt(*row.classes_of(x))
    expected = np.array(learner(x)[0])
    difference = np.abs(np.array(classifier(x["query_images"][0])) - expected).max()
    assert difference < 0.1 * np.abs(expected).max()
