"""What a user declares, on a learner or on a layer, acts or is refused, for every learner."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.arguments import Argument, Part


def _attributes(learner, kind):
    """Names of a learner's attributes of a kind."""
    return [n for n in dir(type(learner)) if type(getattr(type(learner), n, None)) is kind]


def test_what_a_learner_is_made_of_cannot_be_replaced(row, make_learner):
    learner = make_learner()
    parts = _attributes(learner, Part)
    assert set(parts) >= set(learner.parts())
    for name in parts:
        with pytest.raises(ValueError, match=f"{type(learner).__name__}: {name} cannot be replac"):
            setattr(learner, name, None)


def test_every_setting_is_checked_when_it_is_set_later(row, make_learner):
    learner = make_learner()
    settings = _attributes(learner, Argument)
    assert set(settings) <= set(learner.get_config())
    if row.num_classes is None:
        tempered = ("prototypical", "matching", "simple_shot")
        assert ("temperature" in settings) == (row.method in tempered)
    else:
        assert {"inner_steps", "second_order", "batch_norm", "inner_loss"} <= set(settings)
    for name in settings:
        before = getattr(learner, name)
        setattr(learner, name, before)
        with pytest.raises((ValueError, TypeError)):
            setattr(learner, name, -1)
        assert getattr(learner, name) is before


def test_another_inner_loss(row, make_learner, make_batch, compiled, values):
    """Targets that are no classes: learned by those who have an inner loss, refused elsewhere."""
    x, y = make_batch(2)
    rng = np.random.default_rng(0)
    learner = compiled(make_learner())
    if row.described:
        assert not hasattr(learner, "inner_loss")
        return
    targets = rng.normal(size=(2, 6, 3)).astype("float32")
    floats = {**x, "support_labels": targets}
    before = values(learner.variables)
    with pytest.raises(ValueError, match="support_labels must be integers.*`inner_loss`"):
        learner.fit(floats, y, verbose=0)
    for old, new in zip(before, values(learner.variables), strict=True):
        np.testing.assert_array_equal(old, new)
    if row.num_classes is None:
        assert not hasattr(learner, "inner_loss")
        return
    learner.inner_loss = keras.losses.MeanSquaredError()
    outputs = np.array(learner(floats))
    adapted = learner.adapt(floats["support_images"][0], targets[0])
    np.testing.assert_allclose(adapted(x["query_images"][0]), outputs[0], rtol=1e-4, atol=1e-4)
    moved = {**floats, "support_labels": targets + 1.0}
    assert np.abs(np.array(learner(moved)) - outputs).max() > 1e-3
    loss = keras.losses.MeanSquaredError()
    learner.compile(keras.optimizers.SGD(0.01), loss, metrics=["mse"], run_eagerly=True)
    query = rng.normal(size=outputs.shape).astype("float32")
    expected = np.mean((outputs - query) ** 2)
    assert learner.test_on_batch(floats, query)[0] == pytest.approx(expected, rel=1e-5)
    learner.train_on_batch(floats, query)
    changed = values(learner.trainable_variables)
    assert any((a != b).any() for a, b in zip(changed, before, strict=False))


def test_a_frozen_layer_stays_as_it_is(row, make_learner, make_batch, compiled, values):
    """Frozen after the learner was made; by a cell with something for each weight: refused."""
    x, y = make_batch()
    learner = make_learner()
    layer = learner.network.layers[1]
    layer.trainable = False
    compiled(learner)
    if row.method == "meta_sgd":
        with pytest.raises(ValueError, match="make a new learner"):
            learner.train_on_batch(x, y)
        return
    frozen, others = values(layer.variables), values(learner.trainable_variables)
    for _ in range(2):
        learner.train_on_batch(x, y)
    for old, new in zip(frozen, values(layer.variables), strict=True):
        np.testing.assert_array_equal(old, new)
    for old, new in zip(others, values(learner.trainable_variables), strict=True):
        assert np.abs(old - new).max() > 0
    classifier = learner.adapt(*row.classes_of(x))
    expected = np.array(learner(x)[0])
    np.testing.assert_allclose(classifier(x["query_images"][0]), expected, rtol=1e-4, atol=1e-4)


def test_regularisers_of_weights_count(row, make_learner, make_batch, compiled):
    x, y = make_batch(2)
    learner = compiled(make_learner())
    # Of the weights that are adapted, where there are some.
    variables = getattr(learner, "flat", learner.network)
    variables = getattr(variables, "variables" if row.num_classes else "trainable_variables")
    kernel = next(v for v in variables if v.name == "kernel")
    plain = np.array(learner(x))
    kernel.regularizer = keras.regularizers.L2(0.5)
    logits = tf.constant(learner(x))
    # They act on the adaptation, where there is one.
    assert (np.abs(np.array(logits) - plain).max() > 1e-4) == (row.num_classes is not None)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
    expected = float(tf.reduce_mean(losses)) + 0.5 * (kernel.numpy() ** 2).sum()
    assert learner.test_on_batch(x, y)[0] == pytest.approx(expected, rel=1e-4)
