"""Networks in mixed precision inside a learner that keeps its numbers in float32."""

import keras
import numpy as np
import pytest

POLICIES = ("mixed_bfloat16", "mixed_float16")


@pytest.fixture(params=POLICIES)
def policy(request):
    """The global policy: learners and cells are made under it too."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


def test_close_to_single_precision(policy, make_learner, make_batch):
    x, _ = make_batch()
    learner = make_learner(policy)
    assert {variable.dtype for variable in learner.trainable_variables} == {"float32"}
    assert learner.compute_dtype == "float32"
    assert learner(x).dtype == "float32"
    logits, expected = np.array(learner(x)), np.array(make_learner()(x))
    assert 0 < np.abs(logits - expected).max() < 0.1 * np.abs(expected).max()


def test_made_without_a_dtype_it_is_in_single_precision(policy, make_learner, make_batch):
    learner = make_learner(policy)
    config = learner.get_config()
    config.pop("dtype")
    clone = type(learner).from_config(config)
    assert clone.compute_dtype == clone.variable_dtype == "float32"
    assert type(learner).from_config({**config, "dtype": policy}).compute_dtype == "float32"


def test_training_saving_and_adapting(
    policy, row, make_learner, make_batch, compiled, values, tmp_path
):
    x, y = make_batch()
    learner = compiled(make_learner(policy))
    before = values(learner.trainable_variables)
    for _ in range(2):  # The first step of a dynamic loss scale may be skipped.
        learner.train_on_batch(x, y)
    for old, new in zip(before, values(learner.trainable_variables), strict=True):
        assert np.isfinite(new).all() and np.abs(new - old).max() > 0
    scaled = isinstance(learner.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    np.testing.assert_array_equal(loaded(x), learner(x))
    classifier = learner.adapt(*row.classes_of(x))
    expected = np.array(learner(x)[0])
    difference = np.abs(np.array(classifier(x["query_images"][0])) - expected).max()
    assert difference < 0.02 * np.abs(expected).max()


def test_large_numbers(policy, row, make_learner, make_batch):
    """Of which float16 holds no squares: a network's outputs are compared in float32."""
    if row.num_classes is not None:
        pytest.skip("its network gives the logits, and nothing is compared")
    x, _ = make_batch()
    learner = make_learner(policy)
    last = learner.network.layers[-1]
    last.set_weights([1000 * weight for weight in last.get_weights()])
    expected = np.array(learner(x)[0])
    logits = np.array(learner.adapt(*row.classes_of(x))(x["query_images"][0]))
    assert np.isfinite(expected).all() and np.isfinite(logits).all()
    assert np.abs(logits - expected).max() <= 0.02 * np.abs(expected).max()
