"""What a learner makes of episodes: each alone, and of every picture what it is and no more."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.descriptors import with_one_step


def _logits(learner, x, training=False):
    """The learner's logits; what training does to moving statistics is undone."""
    state = [variable.numpy() for variable in learner.non_trainable_variables]
    logits = np.array(learner(x, training=training))
    for variable, value in zip(learner.non_trainable_variables, state, strict=True):
        variable.assign(value)
    return logits


@pytest.mark.parametrize("training", [False, True])
def test_episodes_of_a_batch_are_independent(make_learner, make_batch, training):
    x, _ = make_batch(2, "float64")
    learner = make_learner("float64")
    together = _logits(learner, x, training)
    for k in range(2):
        alone = _logits(learner, {name: value[[k]] for name, value in x.items()}, training)
        np.testing.assert_allclose(alone[0], together[k], rtol=1e-9, atol=1e-11)
    changed = {name: value.copy() for name, value in x.items()}
    for name, value in make_batch(2, "float64", seed=1)[0].items():
        changed[name][0] = value[0]
    logits = _logits(learner, changed, training)
    np.testing.assert_array_equal(logits[1], together[1])
    assert np.abs(logits[0] - together[0]).max() > 1e-3


def test_query_pictures_are_seen_as_announced(row, make_learner, make_batch):
    """Alone a query picture gets the same logits, unless the learner says it is transductive."""
    x, _ = make_batch(dtype="float64")
    learner = make_learner("float64")
    first = {**x, "query_images": x["query_images"][:, :1]}
    difference = np.abs(learner(first)[:, :1] - learner(x)[:, :1]).max()
    assert (difference > 1e-3) if row.transductive else (difference < 1e-11)
    # In training every learner uses the statistics of the batch.
    first, whole = (_logits(learner, part, training=True) for part in (first, x))
    assert np.abs(first[:, :1] - whole[:, :1]).max() > 1e-6


def test_order_of_the_pictures_does_not_matter(row, make_learner, make_batch):
    """Neither of the query pictures nor, as far as announced, of the support pictures."""
    x, _ = make_batch(dtype="float64")
    learner = make_learner("float64")
    expected = np.array(learner(x))
    rng = np.random.default_rng(0)
    support, query = rng.permutation(6), rng.permutation(6)
    logits = learner({**x, "query_images": x["query_images"][:, query]})
    np.testing.assert_allclose(logits, expected[:, query], rtol=1e-9, atol=1e-11)
    shuffled = {name: value[:, support] for name, value in x.items() if name.startswith("support")}
    difference = np.abs(learner({**x, **shuffled}) - expected).max()
    assert (difference > 1e-6) if row.sees_order else (difference < 1e-9)


@pytest.mark.parametrize("classes", ["as built", 2, 5])
def test_names_of_the_classes_do_not_matter(row, make_learner, make_batch, classes):
    """Other labels, and weights that belong to classes put in that order, order the logits so."""
    if classes == "as built":
        classes = 3
    elif row.num_classes:
        pytest.skip(f"tells exactly {row.num_classes} classes apart")
    x, _ = make_batch(2, "float64", classes=classes)
    learner = make_learner("float64")
    expected = np.array(learner(x))
    assert expected.shape == (2, 2 * classes, classes)
    assert np.ptp(expected, axis=-1).min() > 1e-6
    order = np.roll(np.arange(classes), 1)
    row.reorder(learner, order)
    if row.described:
        renamed = {**x, "descriptors": x["descriptors"][:, order]}
    else:
        renamed = {**x, "support_labels": np.argsort(order).astype("int32")[x["support_labels"]]}
    logits = np.array(learner(renamed))
    np.testing.assert_allclose(logits, expected[..., order], rtol=1e-9, atol=1e-9)
    assert np.abs(logits - expected).max() > 1e-3


def test_unknown_batch_size(make_learner, make_batch):
    """As from a dataset, whose last batch is smaller."""
    x, _ = make_batch(3)
    learner = with_one_step(make_learner())
    expected = np.array(learner(x))
    batches = tf.data.Dataset.from_tensor_slices(x).batch(2)
    assert batches.element_spec["query_images"].shape[0] is None
    predict = tf.function(learner, input_signature=[batches.element_spec])
    logits = np.concatenate([predict(batch) for batch in batches])
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
