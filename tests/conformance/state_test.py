"""What changes a learner, and what does not."""

import keras
import numpy as np


def _assert_same(some, others):
    for one, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(one, other)


def test_looking_changes_nothing(row, make_learner, make_batch, compiled, values):
    x, y = make_batch()
    learner = compiled(make_learner())
    before = values(learner.variables)
    learner(x)
    learner.predict(x, verbose=0)
    learner.evaluate(x, y, verbose=0)
    learner.meta_gradient(x, y)
    learner.adaptation_summaries(x, y)
    learner.adapt(*row.classes_of(x))(x["query_images"][0])
    _assert_same(values(learner.variables), before)


def test_training_changes_the_weights(row, make_learner, make_batch, compiled, values):
    """And the moving statistics of those learners that have them moved."""
    x, y = make_batch(2)
    learner = compiled(make_learner())
    before = values(learner.trainable_variables), values(learner.non_trainable_variables)
    for _ in range(2):
        learner.fit(x, y, batch_size=1, verbose=0)
    for old, variable in zip(before[0], learner.trainable_variables, strict=True):
        assert np.abs(variable.numpy() - old).max() > 0, variable.path
    networks = [getattr(learner, name) for name in learner.networks]
    moving = [v for network in networks for v in network.non_trainable_variables]
    assert moving
    if not row.moving_statistics:
        _assert_same(values(learner.non_trainable_variables), before[1])
        learner(x, training=True)
        _assert_same(values(learner.non_trainable_variables), before[1])
    else:
        fresh = make_learner()
        networks = [getattr(fresh, name) for name in fresh.networks]
        old = [v for network in networks for v in network.non_trainable_variables]
        for one, other in zip(moving, old, strict=True):
            assert np.abs(one.numpy() - other.numpy()).max() > 0, one.path


def test_order_of_calls_does_not_matter(row, make_learner, make_batch, compiled):
    (one, _), (other, labels) = make_batch(), make_batch(seed=1)
    learner = compiled(make_learner())
    first = np.array(learner(one)), np.array(learner(other))
    learner.meta_gradient(other, labels)
    learner.adapt(*row.classes_of(other))
    np.testing.assert_array_equal(learner(other), first[1])
    np.testing.assert_array_equal(learner(one), first[0])


def test_the_same_twice(make_learner, make_batch, compiled, values):
    """Nothing is left to chance in training, once the initial weights are there."""
    x, y = make_batch()
    keras.utils.set_random_seed(1)
    one = compiled(make_learner())
    other = compiled(type(one).from_config(one.get_config()))
    other.set_weights(one.get_weights())
    for learner in (one, other):
        learner.train_on_batch(x, y)
    _assert_same(values(one.variables), values(other.variables))


def test_meta_gradient_is_what_training_follows(make_learner, make_batch, compiled, values):
    """Plain gradient descent of rate 1 moves by it."""
    x, y = make_batch(2)
    learner = compiled(make_learner(), keras.optimizers.SGD(1.0))
    before = values(learner.trainable_variables)
    gradient = learner.meta_gradient(x, y)
    learner.train_on_batch(x, y)
    after = values(learner.trainable_variables)
    for old, new, part in zip(before, after, gradient, strict=True):
        np.testing.assert_allclose(old - new, part, rtol=1e-4, atol=1e-5)
    assert max(np.abs(part).max() for part in gradient) > 1e-3
