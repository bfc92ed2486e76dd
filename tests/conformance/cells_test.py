"""What every cell promises, tested once over all of them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras import layers
from meta_keras.errors import SettingError
from meta_keras.optimizers.learned import SavedCell
from tests.conformance.cells import ROWS, SIZE, ready
from tests.policy import global_policy


@pytest.fixture(params=ROWS, ids=[kind.name for kind in ROWS])
def kind(request):
    return request.param


@pytest.fixture
def cell(kind):
    """A cell of the row, ready to run."""
    return ready(kind.make())


@pytest.fixture
def inputs():
    """Parameters, and gradients and losses of three steps, float32."""
    rng = np.random.default_rng(2)
    gradients = rng.normal(size=(3, SIZE)) * 10.0 ** rng.uniform(-4, 1, SIZE)
    return tf.constant(rng.normal(size=SIZE), tf.float32), gradients.astype("float32")


def _run(cell, parameters, gradients):
    """`(parameters, state)` before the first step and after every one."""
    path = [(parameters, cell.initial_state(parameters))]
    for number, gradient in enumerate(gradients):
        path.append(cell(tf.constant(gradient), tf.constant(0.5 + number), *path[-1]))
    return path


def _assert_equal(actual, expected):
    tf.nest.assert_same_structure(actual, expected)
    for ours, theirs in zip(tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_every_cell_of_the_package_has_a_row():
    made = {type(kind.make()) for kind in ROWS}
    public = {getattr(layers, name) for name in layers.__all__}
    cells = {c for c in public if isinstance(c, type) and issubclass(c, layers.Cell)}
    assert cells - {layers.Cell, layers.FixedRateCell} == made


def test_config_round_trip(cell):
    clone = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(cell))
    assert type(clone) is type(cell)
    assert clone.get_config() == cell.get_config()


def test_saved_in_a_model_it_takes_the_same_steps(cell, inputs, tmp_path):
    SavedCell(cell).save(tmp_path / "cell.keras")
    loaded = keras.models.load_model(tmp_path / "cell.keras").cell
    assert type(loaded) is type(cell) and loaded is not cell
    _assert_equal(_run(loaded, *inputs)[-1], _run(cell, *inputs)[-1])


def test_state_goes_in_and_out_as_tensors_of_the_same_shapes(kind, cell, inputs):
    path = _run(cell, *inputs)
    for number, (parameters, state) in enumerate(path):
        assert parameters.shape == (SIZE,) and parameters.dtype == tf.float32
        leaves = tf.nest.flatten(state)
        if number or kind.whole_start:
            tf.nest.assert_same_structure(state, path[-1][1])
            assert all(isinstance(leaf, tf.Tensor) for leaf in leaves)
            assert [x.shape for x in leaves] == [x.shape for x in tf.nest.flatten(path[-1][1])]
            assert {leaf.dtype for leaf in leaves} <= {tf.float32}


def test_coordinates_do_not_see_each_other(kind, cell, inputs):
    if not kind.coordinatewise:
        pytest.skip("it sees whole tensors")
    parameters, gradients = inputs
    changed = gradients.copy()
    changed[:, 1] *= -3
    moved = np.asarray(_run(cell, parameters, changed)[-1][0] != _run(cell, *inputs)[-1][0])
    assert moved.tolist() == [False, True] + [False] * (SIZE - 2)


def test_it_is_a_pure_function(cell, inputs):
    before = [variable.numpy() for variable in cell.variables]
    first = _run(cell, *inputs)
    _run(cell, inputs[0], inputs[1][::-1])
    _assert_equal(_run(cell, *inputs), first)
    _assert_equal([variable.numpy() for variable in cell.variables], before)


def test_a_graph_of_it_computes_the_same(cell, inputs):
    eager = tf.nest.flatten(_run(cell, *inputs)[-1])
    graph = tf.nest.flatten(tf.function(lambda: _run(cell, *inputs)[-1])())
    for ours, theirs in zip(graph, eager, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)


def test_finite_where_everything_is_zero(cell):
    zeros = tf.zeros(SIZE)
    with tf.GradientTape() as tape:
        state = cell.initial_state(zeros)
        parameters, state = cell(zeros, tf.zeros(()), zeros, state)
        parameters, state = cell(zeros, tf.zeros(()), parameters, state)
    for value in tf.nest.flatten((parameters, state)):
        assert np.isfinite(value).all()
    for gradient in tape.gradient(parameters, cell.trainable_variables):
        assert np.isfinite(gradient).all()


def test_weights_do_not_depend_on_the_number_of_coordinates(kind):
    if not kind.any_size:
        pytest.skip("it learns something for every coordinate")
    shapes = []
    for size in (1, 1000):
        cell = kind.make()
        cell.build_once(size)
        shapes.append([weight.shape for weight in cell.weights])
    assert shapes[0] == shapes[1]


def test_what_is_observed_is_there_in_every_state(cell, inputs):
    for parameters, state in _run(cell, *inputs)[1:]:
        for name, value in cell.observables(state).items():
            assert isinstance(name, str)
            assert np.size(value) <= 20 * np.size(parameters) and np.isfinite(value).all()


@pytest.mark.parametrize("where", ["global", "argument", "attribute"])
def test_half_precision_is_not_for_cells(kind, inputs, where):
    expected = _run(ready(kind.make()), *inputs)[-1]
    for policy in ("mixed_float16", "mixed_bfloat16"):
        with global_policy(policy if where == "global" else "float32"):
            made = kind.make(dtype=policy) if where == "argument" else kind.make()
            if where == "attribute":
                made.dtype_policy = policy
            cell = ready(made)
            actual = _run(cell, *inputs)[-1]
        dtypes = {cell.compute_dtype, *(v.dtype for v in cell.weights)}
        assert dtypes == {"float32"}, policy
        _assert_equal(actual, expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_of_half_precision_are_refused(kind, dtype):
    message = f"dtype='{dtype}' must be float32"
    with pytest.raises(SettingError, match=message):
        kind.make(dtype=dtype)
    cell = kind.make()
    with pytest.raises(SettingError, match=message):
        cell.dtype_policy = dtype
    with global_policy(dtype), pytest.raises(SettingError, match=message):
        kind.make()


def test_float64_stays_float64(kind, inputs):
    with global_policy("float64"):
        by_policy = kind.make()
    for cell in (by_policy, kind.make(dtype="float64")):
        start = tf.cast(inputs[0], tf.float64)
        parameters, state = _run(ready(cell), start, inputs[1])[-1]
        assert {x.dtype for x in [parameters, *tf.nest.flatten(state)]} == {tf.float64}
        assert {v.dtype for v in cell.weights} <= {"float64"}
