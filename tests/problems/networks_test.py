"""Tests of networks of many kinds, against NumPy."""

import keras
import numpy as np
import pytest

from meta_keras.problems import networks

RNG = np.random.default_rng(0)


def randomized(model):
    """The model, whose weights are drawn anew, biases and scales too."""
    model.set_weights([RNG.normal(size=w.shape) for w in model.get_weights()])
    return model


def outputs(model, x):
    return model(x).numpy()


def normalized(x, gamma, beta):
    """Layer normalisation with Keras' epsilon."""
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-3) * gamma + beta


def test_layers_of_a_residual_network_add():
    model = randomized(networks.residual_model((2, 3), 4, 2, 5, "tanh"))
    x = RNG.normal(size=(7, 2, 3)).astype("float32")
    kernel, bias, *blocks, gamma, beta, last_kernel, last_bias = model.get_weights()
    h = x.reshape(7, 6) @ kernel + bias
    for block in (blocks[:4], blocks[4:]):
        own_gamma, own_beta, own_kernel, own_bias = block
        h = h + np.tanh(normalized(h, own_gamma, own_beta) @ own_kernel + own_bias)
    expected = normalized(h, gamma, beta) @ last_kernel + last_bias
    np.testing.assert_allclose(outputs(model, x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("axis", [1, 2])
def test_attention_to_rows_or_columns(axis):
    """Pictures that are not square: with the first projection alone, only the first one counts."""
    model = randomized(networks.attention_model((4, 3, 2), 4, 2, 5, axis=axis))
    [projection] = [v for v in model.layers if isinstance(v, keras.layers.EinsumDense)][:1]
    kernel = projection.get_weights()[0]
    assert kernel.shape == ((4, 6, 4) if axis == 1 else (3, 8, 4))
    projection.set_weights([np.where(np.arange(len(kernel))[:, None, None] == 0, kernel, 0)])
    x = RNG.normal(size=(3, 4, 3, 2)).astype("float32")
    others, first = x.copy(), x.copy()
    others.swapaxes(1, axis)[:, 1:] += 1
    first.swapaxes(1, axis)[:, :1] += 1
    np.testing.assert_allclose(outputs(model, others), outputs(model, x), rtol=1e-5)
    assert np.abs(outputs(model, first) - outputs(model, x)).max() > 1e-2


def test_columns_are_the_rows_of_the_transposed_picture():
    rows = randomized(networks.attention_model((4, 3, 2), 4, 2, 5, blocks=2))
    columns = networks.attention_model((3, 4, 2), 4, 2, 5, blocks=2, axis=2)
    columns.set_weights(rows.get_weights())
    x = RNG.normal(size=(3, 4, 3, 2)).astype("float32")
    expected = outputs(rows, x)
    np.testing.assert_allclose(outputs(columns, x.swapaxes(1, 2)), expected, rtol=1e-5, atol=1e-6)
    # Every place has a projection of its own: their order matters.
    assert np.abs(outputs(rows, x[:, ::-1]) - expected).max() > 1e-2
    kinds = [type(layer).__name__ for layer in rows.layers]
    assert kinds.count("MultiHeadAttention") == 2 and kinds.count("LayerNormalization") == 4


@pytest.mark.parametrize("symbols", [5, None])
def test_recurrence(symbols):
    """Over embedded symbols, or over the rows of pictures."""
    layer = keras.layers.SimpleRNN(3, unroll=True)
    shape = (4,) if symbols else (4, 2, 3)
    model = randomized(networks.recurrent_model(shape, layer, 2, symbols))
    weights = model.get_weights()
    if symbols:
        x = RNG.integers(0, symbols, (6, 4)).astype("int32")
        table, *weights = weights
        assert table.shape == (symbols, 16)
        rows = table[x]
    else:
        x = RNG.normal(size=(6, 4, 2, 3)).astype("float32")
        rows = x.reshape(6, 4, 6)
    kernel, recurrent, bias, last_kernel, last_bias = weights
    h = np.zeros((6, 3))
    for place in range(4):
        h = np.tanh(rows[:, place] @ kernel + h @ recurrent + bias)
    np.testing.assert_allclose(outputs(model, x), h @ last_kernel + last_bias, rtol=1e-4, atol=1e-5)


def test_dense_layers_and_their_initialisation():
    model = networks.dense_model((20, 10), [60], 3, "relu", 0.01, last="sigmoid")
    kernel, bias, last_kernel, last_bias = model.get_weights()
    np.testing.assert_allclose([kernel.std(), last_kernel.std()], 0.01, rtol=0.2)
    x = 100 * RNG.normal(size=(5, 20, 10)).astype("float32")
    h = np.maximum(x.reshape(5, 200) @ kernel + bias, 0)
    expected = 1 / (1 + np.exp(-(h @ last_kernel + last_bias)))
    np.testing.assert_allclose(outputs(model, x), expected, rtol=1e-4)
