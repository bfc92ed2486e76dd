"""What a learned optimizer promises to Keras, tested once over cells of every kind."""

import warnings

import keras
import numpy as np
import pytest

from meta_keras import layers
from meta_keras.errors import SettingError
from meta_keras.optimizers import LearnedOptimizer
from tests.conformance.cells import randomized

ROWS = {
    "gradient descent": lambda: layers.GradientDescentCell(0.1),
    "Nesterov": lambda: layers.NesterovCell(0.01),
    "RMSprop": lambda: layers.RMSpropCell(0.01),
    "Adam": lambda: layers.AdamCell(0.01),
    "LSTM, none": lambda: layers.CoordinatewiseLSTM((4,), "none"),
    "LSTM, log and sign": lambda: layers.CoordinatewiseLSTM((4, 3), layers.LogAndSign(p=5)),
    "LSTM, rnnprop": lambda: layers.CoordinatewiseLSTM((4,), "rnnprop", output_scale=0.05),
    "LSTM, combined": lambda: layers.CoordinatewiseLSTM((4,), "combined", gradient_rate=0.1),
    "corrected Adam": lambda: layers.CorrectedAdam((4,), tensor_units=5, steps=9),
    "grouped": lambda: layers.GroupedCell(
        [layers.NesterovCell(0.01), layers.CoordinatewiseLSTM((4,), "combined")],
        [layers.is_convolution_kernel],
    ),
}


@pytest.fixture(params=ROWS)
def optimizer(request):
    """The row's optimizer, its cell with weights at which every term matters."""
    optimizer = LearnedOptimizer(ROWS[request.param]())
    randomized(optimizer.cell)
    return optimizer


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(20, 4, 4, 1)).astype("float32")
    return x, np.sin(x.sum(axis=(1, 2)))


def _fit(model, data):
    model.fit(*data, epochs=2, batch_size=len(data[0]), shuffle=False, verbose=0)
    return [variable.numpy() for variable in [*model.variables, *model.optimizer.variables]]


def test_saved_training_goes_on_bit_for_bit(optimizer, data, tmp_path):
    parts = [keras.layers.Conv2D(2, 3, activation="tanh"), keras.layers.Flatten()]
    model = keras.Sequential([keras.Input((4, 4, 1)), *parts, keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    before = [variable.numpy() for variable in model.trainable_variables]
    of_the_cell = [variable.numpy() for variable in optimizer.cell.variables]
    values = _fit(model, data)
    for start, variable in zip(before, model.trainable_variables, strict=True):
        assert np.isfinite(variable).all() and np.abs(variable - start).max() > 1e-5
    for start, variable in zip(of_the_cell, optimizer.cell.variables, strict=True):
        np.testing.assert_array_equal(variable, start)
    assert int(optimizer.iterations) == 2
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.cell is not optimizer.cell
    variables = [*loaded.variables, *loaded.optimizer.variables]
    for variable, value in zip(variables, values, strict=True):
        np.testing.assert_array_equal(variable, value)
    for actual, expected in zip(_fit(loaded, data), _fit(model, data), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_compiled_with_xla(optimizer, data):
    """The same steps as without, of a model that Keras compiles."""
    steps = []
    for options in ({"run_eagerly": True}, {"jit_compile": True}):
        parts = [keras.layers.Conv2D(2, 3), keras.layers.Flatten(), keras.layers.Dense(1)]
        model = keras.Sequential([keras.Input((4, 4, 1)), *parts])
        model.set_weights([np.full(v.shape, 0.1 + n) for n, v in enumerate(model.weights)])
        model.compile(LearnedOptimizer(optimizer.cell), "mse", **options)
        steps.append([model.train_on_batch(*data) for _ in range(2)] + model.get_weights())
    assert model.jit_compile is True
    for actual, expected in zip(*steps, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-5)


def test_config_round_trip(optimizer):
    config = optimizer.get_config()
    for _ in range(2):  # the config is only read
        clone = LearnedOptimizer.from_config(config)
        assert clone.get_config() == config == optimizer.get_config()


def test_an_untrained_cell_is_told_of(optimizer):
    """A configuration holds no weights; what was saved with them is silent."""
    clone = LearnedOptimizer.from_config(optimizer.get_config())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.apply(_gradients(0), _variables())
        if clone.cell.variables:
            with pytest.raises(UserWarning, match="its cell is untrained. Load a .keras file"):
                clone.apply(_gradients(0), _variables())
        else:
            clone.apply(_gradients(0), _variables())


REFUSED = {"clipnorm": 1.0, "clipvalue": 1.0, "global_clipnorm": 1.0}
REFUSED["loss_scale_factor"] = 2.0
SHAPES = ((2, 1, 3), (4,), (2, 2))


def _variables():
    rng = np.random.default_rng(5)
    return [keras.Variable(rng.normal(size=shape).astype("float32")) for shape in SHAPES]


def _gradients(step):
    rng = np.random.default_rng(step)
    return [rng.normal(size=shape).astype("float32") for shape in SHAPES]


def _numpy(variables):
    return [variable.numpy() for variable in variables]


def test_what_would_change_the_cells_inputs_is_refused(optimizer):
    for name, value in {**REFUSED, "decay": 0.1, "weight_decay": -0.1}.items():
        with pytest.raises(SettingError, match=f"LearnedOptimizer.*{name}={value}"):
            LearnedOptimizer(optimizer.cell, **{name: value})


def test_and_so_it_is_later(optimizer):
    built = {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2}
    built |= {"gradient_accumulation_steps": 2, "cell": layers.AdamCell(), "weight_decay": 0.1}
    for name, value in REFUSED.items():
        with pytest.raises(SettingError, match=f"LearnedOptimizer.*{name}={value}"):
            setattr(optimizer, name, value)
    optimizer.ema_momentum = 0.9  # Nothing is built yet.
    variables = _variables()
    optimizer.apply(_gradients(0), variables)
    for name, value in {**REFUSED, **built}.items():
        with pytest.raises(SettingError, match=f"LearnedOptimizer: {name}="):
            setattr(optimizer, name, value)


def test_weight_decay_takes_away_a_share_before_the_step(optimizer):
    """Of every weight that is not excluded: what is left takes the step it would take anyway."""
    kept = [1.0, 0.9, 0.9]  # with the rate 0.5, half of the decay of 0.2
    variables, smaller = _variables(), _variables()
    for variable, share in zip(smaller, kept, strict=True):
        variable.assign(share * variable)
    decayed = LearnedOptimizer(optimizer.cell, learning_rate=0.5, weight_decay=0.2)
    decayed.build(variables)
    decayed.exclude_from_weight_decay(var_list=variables[:1])
    decayed.apply(_gradients(0), variables)
    LearnedOptimizer(optimizer.cell, learning_rate=0.5).apply(_gradients(0), smaller)
    for actual, expected in zip(_numpy(variables), _numpy(smaller), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-7)
    assert LearnedOptimizer.from_config(decayed.get_config()).weight_decay == 0.2


def test_the_learning_rate_is_a_factor_on_the_step(optimizer):
    starts, steps = _numpy(_variables()), []
    for rate in (1.0, 1, 0.25, 0.0, "default"):
        rate = {} if rate == "default" else {"learning_rate": rate}
        scaled, variables = LearnedOptimizer(optimizer.cell, **rate), _variables()
        assert LearnedOptimizer.from_config(scaled.get_config()).learning_rate == (
            scaled.learning_rate
        )
        scaled.apply(_gradients(0), variables)
        steps.append(_numpy(variables))
    for start, one, whole, quarter, none, default in zip(starts, *steps, strict=True):
        np.testing.assert_array_equal(one, default)
        np.testing.assert_array_equal(whole, default)
        np.testing.assert_array_equal(none, start)
        np.testing.assert_allclose(quarter, start + 0.25 * (one - start), atol=1e-6)
    variables = _variables()
    later = LearnedOptimizer(optimizer.cell)
    later.build(variables)
    later.learning_rate = 0.25
    later.apply(_gradients(0), variables)
    for actual, expected in zip(_numpy(variables), steps[2], strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_a_variable_without_a_gradient_waits(optimizer):
    """It stays as it is and its coordinates keep their state, as if there were no such variable."""
    if isinstance(optimizer.cell, layers.CorrectedAdam):
        pytest.skip("all variables of a model are a part of what its networks see of each")
    alone = LearnedOptimizer(optimizer.cell.from_config(optimizer.cell.get_config()))
    for own, other in zip(alone.cell.variables, optimizer.cell.variables, strict=True):
        own.assign(other)
    variables, others = _variables(), _variables()[1:]
    optimizer.build(variables)
    alone.build(others)
    for step in range(3):
        before = variables[0].numpy()
        gradients = _gradients(step)
        with pytest.warns(UserWarning, match="Gradients do not exist"):
            optimizer.apply([None, *gradients[1:]], variables)
        alone.apply(gradients[1:], others)
        np.testing.assert_array_equal(variables[0], before)
        for actual, expected in zip(variables[1:], others, strict=True):
            np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
    state = [v.numpy() for v in optimizer.variables if v.name.startswith("state")]
    size, waiting = sum(map(np.size, _gradients(0))), np.size(_gradients(0)[0])
    for leaf in state:
        if leaf.shape[-1:] == (size,) or leaf.shape[-1:] == (waiting,):
            assert not leaf[..., :waiting].any()


def test_preset(optimizer, tmp_path):
    optimizer.save_to_preset(tmp_path / "mine", {"problem": "sums"})
    loaded = LearnedOptimizer.from_preset(tmp_path / "mine", name="mine")
    assert loaded.name == "mine" and type(loaded.cell) is type(optimizer.cell)
    for actual, expected in zip(loaded.cell.variables, optimizer.cell.variables, strict=True):
        np.testing.assert_array_equal(actual, expected)
