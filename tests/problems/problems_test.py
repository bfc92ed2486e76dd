"""Tests of the problems: pure functions of their seed, with the right values."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.errors import DatasetError
from meta_keras.problems import CharacterClassification, ModelProblem, Quadratic, mnist_mlp


@pytest.fixture
def regression():
    """A problem in five lines: any Keras model, a loss, a tf.data.Dataset."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3)).astype("float32")
    y = (x @ [[1.0], [-2.0], [0.5]]).astype("float32")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)])
    data = tf.data.Dataset.from_tensor_slices((x, y))
    return ModelProblem(model, keras.losses.MeanSquaredError(), data, batch_size=8)


@pytest.fixture
def characters():
    """Twelve classes of three drawings, each a constant that tells class and drawing."""
    shades = np.arange(12 * 3, dtype="uint8").reshape(12, 3, 1, 1) * 7
    return CharacterClassification(
        np.broadcast_to(shades, (12, 3, 16, 16)).copy(), nway=4, batch_size=32, filters=2
    )


@pytest.fixture(params=["quadratic", "regression", "characters"])
def problem(request):
    if request.param == "quadratic":
        return Quadratic(dimensions=3, batch=4)
    return request.getfixturevalue(request.param)


def _seed(number):
    return tf.constant(number, tf.int64)


def test_pure_functions_of_the_seed(problem):
    start = problem.initial_parameters(_seed(1))
    assert start.shape == (problem.size,) and start.dtype == tf.float32
    np.testing.assert_array_equal(start, problem.initial_parameters(_seed(1)))
    assert np.abs(start - problem.initial_parameters(_seed(2))).max() > 1e-3
    losses = [float(problem.loss(start, _seed(1), _seed(4))) for _ in range(2)]
    assert losses[0] == losses[1]
    assert float(problem.loss(start, _seed(2), _seed(4))) != losses[0]
    in_a_graph = tf.function(problem.loss)(start, _seed(1), _seed(4))
    np.testing.assert_allclose(in_a_graph, losses[0], rtol=1e-5)


@pytest.mark.parametrize("variant", ["gaussian", "uniform"])
def test_quadratic_is_the_papers(variant):
    problem = Quadratic(variant, dimensions=3, batch=500)
    w, y = (np.asarray(part) for part in problem.coefficients(_seed(3)))
    mean, deviation = (0, 1) if variant == "gaussian" else (0.5, 1 / np.sqrt(12))
    for part in (w, y):
        assert abs(part.mean() - mean) < 0.1
        assert abs(part.std() - deviation) < 0.1
    theta = np.random.default_rng(0).normal(size=(500, 3)).astype("float32")
    expected = np.mean([np.sum((w[k] @ theta[k] - y[k]) ** 2) for k in range(500)])
    loss = problem.loss(tf.constant(theta.reshape(-1)), _seed(3), _seed(0))
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    # A deterministic function: the same at every step.
    assert float(problem.loss(tf.constant(theta.reshape(-1)), _seed(3), _seed(9))) == float(loss)
    assert 0.009 < np.std(problem.initial_parameters(_seed(3))) < 0.011


def test_model_problem_draws_fresh_minibatches_and_starts(regression):
    start = regression.initial_parameters(_seed(0))
    losses = {float(regression.loss(start, _seed(0), _seed(step))) for step in range(10)}
    assert len(losses) == 10
    # A fresh draw of the initial weights is a permutation within every weight.
    own = regression.flat.parameters()
    for part, original in zip(
        tf.split(start, regression.flat.sizes), tf.split(own, regression.flat.sizes), strict=True
    ):
        np.testing.assert_array_equal(np.sort(part), np.sort(original))


def test_model_problem_is_the_models_loss(regression):
    theta = tf.constant(np.random.default_rng(1).normal(size=regression.size), tf.float32)
    kernel, bias, kernel_2, bias_2 = (np.asarray(v) for v in regression.flat.unflatten(theta))
    x, y = np.asarray(regression.x), np.asarray(regression.y)
    everything = np.mean(((x @ kernel + bias) @ kernel_2 + bias_2 - y) ** 2)
    losses = [float(regression.loss(theta, _seed(0), _seed(step))) for step in range(400)]
    deviation = np.std(losses) / np.sqrt(len(losses))
    assert abs(np.mean(losses) - everything) < 5 * deviation


def test_characters_of_an_optimization(characters):
    """N classes by the seed, the same at every step; a label always means the same class."""
    meaning, drawings = {}, set()
    for step in range(20):
        images, labels = characters.minibatch(_seed(3), _seed(step))
        assert images.shape == (32, 16, 16, 1) and set(np.asarray(labels)) <= set(range(4))
        shades = np.rint(np.asarray(images)[:, 0, 0, 0] * 255 / 7).astype(int)
        for label, shade in zip(np.asarray(labels), shades, strict=True):
            assert meaning.setdefault(int(label), shade // 3) == shade // 3
            drawings.add(shade)
    assert len(meaning) == len(set(meaning.values())) == 4 and len(drawings) == 12
    other = {
        int(shade)
        for shade in np.rint(
            np.asarray(characters.minibatch(_seed(4), _seed(0))[0])[:, 0, 0, 0] * 255 / 7
        )
    }
    assert {shade // 3 for shade in other} != set(meaning.values())


def test_characters_loss_is_the_networks(characters):
    theta = characters.initial_parameters(_seed(1))
    network = characters.flat.network
    for variable, value in zip(
        network.trainable_variables, characters.flat.unflatten(theta), strict=True
    ):
        variable.assign(value)
    images, labels = characters.minibatch(_seed(1), _seed(2))
    logits = np.asarray(network(images, training=True), "float64")
    log_sum = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1)
    expected = np.mean(log_sum - logits[np.arange(32), np.asarray(labels)])
    np.testing.assert_allclose(characters.loss(theta, _seed(1), _seed(2)), expected, rtol=1e-4)


def test_bad_arguments(regression):
    with pytest.raises(ValueError, match="nway must be from 2 to 3.*nway=4"):
        CharacterClassification(np.zeros((3, 20, 16, 16), "uint8"), nway=4)
    with pytest.raises(ValueError, match="batch_size must be a positive integer, got 0"):
        CharacterClassification(np.zeros((3, 20, 16, 16), "uint8"), nway=2, batch_size=0)
    with pytest.raises(ValueError, match="variant must be one of .* got .cubic."):
        Quadratic("cubic")
    with pytest.raises(ValueError, match="dimensions must be a positive integer, got 0"):
        Quadratic(dimensions=0)
    model, loss = regression.flat.network, regression.loss_fn
    data = tf.data.Dataset.from_tensor_slices(([[1.0, 2.0, 3.0]], [[1.0]]))
    with pytest.raises(ValueError, match="batch_size must be a positive integer, got 0"):
        ModelProblem(model, loss, data, batch_size=0)
    with pytest.raises(ValueError, match="finite"):
        ModelProblem(model, loss, data.repeat())
    with pytest.raises(ValueError, match="not built"):
        ModelProblem(keras.Sequential([keras.layers.Dense(1)]), loss, data)


def _problem(*layers, data=None, **kwargs):
    model = keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(1)])
    if data is None:
        data = tf.data.Dataset.from_tensor_slices((tf.ones((4, 3)), tf.ones((4, 1))))
    return ModelProblem(model, keras.losses.MeanSquaredError(), data, 2, **kwargs)


def test_layer_normalization_has_first_derivatives_only():
    normalization = keras.layers.LayerNormalization()
    with pytest.raises(ValueError, match="second derivatives are not exact.*second_order=False"):
        _problem(normalization)
    problem = _problem(normalization, second_order=False)
    assert problem.second_order is False and _problem().second_order is True
    assert np.isfinite(problem.loss(problem.initial_parameters(_seed(0)), _seed(0), _seed(0)))


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (lambda: keras.layers.Dropout(0.5), r"draws random numbers"),
        (lambda: keras.layers.Dense(2, kernel_regularizer="l2"), "regularisers.*kernel"),
        (lambda: keras.layers.Dense(2, activity_regularizer="l2", name="mine"), "sers.*mine"),
    ],
)
def test_models_that_would_be_another_function_are_refused(layer, words):
    with pytest.raises(ValueError, match=words):
        _problem(layer())


@pytest.mark.parametrize(
    ("make_data", "words"),
    [
        (lambda x, y: tf.data.Dataset.from_tensor_slices((x, y)).batch(4), r"\(4, 3\).*unbatch"),
        (lambda x, y: tf.data.Dataset.from_tensor_slices((x[:, :2], y)), r"\(3,\).*\(2,\)"),
        (lambda x, y: tf.data.Dataset.from_tensor_slices(x), r"elements \(x, y\)"),
        (lambda x, y: tf.data.Dataset.from_tensor_slices((x, y, y)), "a tuple of 3"),
    ],
)
def test_data_that_are_not_single_examples_are_refused(make_data, words):
    with pytest.raises(ValueError, match=words):
        _problem(data=make_data(tf.ones((4, 3)), tf.ones((4, 1))))


def test_mnist_network(omniglot_dir):
    if not (pathlib.Path(omniglot_dir) / "mnist").is_dir():
        pytest.skip("MNIST is not prepared beside Omniglot")
    problem = mnist_mlp(omniglot_dir)
    assert problem.size == 784 * 20 + 20 + 20 * 10 + 10 == 15_910
    assert problem.x.shape == (60_000, 784) and problem.y.shape == (60_000,)
    assert 0 == np.min(problem.x) < np.max(problem.x) == 1
    start = problem.initial_parameters(_seed(0))
    assert 0.0097 < np.std(start) < 0.0103
    # Before learning, ten classes are equally likely.
    np.testing.assert_allclose(problem.loss(start, _seed(0), _seed(0)), np.log(10), rtol=0.05)
    wide = mnist_mlp(omniglot_dir, units=(40, 20), activation="relu")
    assert wide.size == 784 * 40 + 40 + 40 * 20 + 20 + 20 * 10 + 10


@pytest.mark.parametrize("damaged", ["dataset_info.json", "mnist-train.tfrecord-00000-of-00001"])
def test_damaged_mnist_is_named(tmp_path, omniglot_dir, damaged):
    prepared = pathlib.Path(omniglot_dir) / "mnist" / "3.0.1"
    if not prepared.is_dir():
        pytest.skip("MNIST is not prepared beside Omniglot")
    folder = tmp_path / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    for file in prepared.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / damaged).unlink()
    with open(prepared / damaged, "rb") as whole:
        (folder / damaged).write_bytes(whole.read(700))
    with pytest.raises(DatasetError, match=f"mnist.* in {tmp_path}.* (damaged|cannot be opened)"):
        mnist_mlp(str(tmp_path))
