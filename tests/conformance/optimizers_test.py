"""What a learned optimizer promises to Keras, tested once over cells of every kind."""

import keras
import numpy as np
import pytest

from meta_keras import layers
from meta_keras.optimizers import LearnedOptimizer

ROWS = {
    "gradient descent": lambda: layers.GradientDescentCell(0.1),
    "Nesterov": lambda: layers.NesterovCell(0.01),
    "RMSprop": lambda: layers.RMSpropCell(0.01),
    "Adam": lambda: layers.AdamCell(0.01),
    "LSTM, none": lambda: layers.CoordinatewiseLSTM((4,), "none"),
    "LSTM, log and sign": lambda: layers.CoordinatewiseLSTM((4, 3), layers.LogAndSign(p=5)),
    "LSTM, rnnprop": lambda: layers.CoordinatewiseLSTM((4,), "rnnprop", output_scale=0.05),
    "LSTM, combined": lambda: layers.CoordinatewiseLSTM((4,), "combined", gradient_rate=0.1),
    "grouped": lambda: layers.GroupedCell(
        [layers.NesterovCell(0.01), layers.CoordinatewiseLSTM((4,), "combined")],
        [layers.is_convolution_kernel],
    ),
}


@pytest.fixture(params=ROWS)
def optimizer(request):
    """The row's optimizer, its cell with weights at which every term matters."""
    optimizer = LearnedOptimizer(ROWS[request.param]())
    rng = np.random.default_rng(0)
    for variable in optimizer.cell.trainable_variables:
        variable.assign(rng.normal(scale=0.5, size=variable.shape))
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


def test_config_round_trip(optimizer):
    config = optimizer.get_config()
    for _ in range(2):  # the config is only read
        clone = LearnedOptimizer.from_config(config)
        assert clone.get_config() == config == optimizer.get_config()


def test_what_would_change_the_cells_inputs_is_refused(optimizer):
    refused = {"clipnorm": 1.0, "clipvalue": 1.0, "global_clipnorm": 1.0, "weight_decay": 0.1}
    for name, value in {**refused, "loss_scale_factor": 2.0, "learning_rate": 0.1}.items():
        with pytest.raises(ValueError, match=f"LearnedOptimizer.*{name}={value}"):
            LearnedOptimizer(optimizer.cell, **{name: value})


def test_preset(optimizer, tmp_path):
    optimizer.save_to_preset(tmp_path / "mine", {"problem": "sums"})
    loaded = LearnedOptimizer.from_preset(tmp_path / "mine", name="mine")
    assert loaded.name == "mine" and type(loaded.cell) is type(optimizer.cell)
    for actual, expected in zip(loaded.cell.variables, optimizer.cell.variables, strict=True):
        np.testing.assert_array_equal(actual, expected)
