"""Networks of dense layers."""

import keras
from keras import layers


def dense_network(outputs, input_shape=(1,), units=(40, 40), dtype=None):
    """Dense layers with ReLU, then linear outputs.

    By default the regressor of Finn et al. 2017, section 5.1
    (https://arxiv.org/abs/1703.03400): two hidden layers of 40 units.

    Args:
        outputs: D, the number of outputs.
        input_shape: of an input without the batch; flattened.
        units: widths of the hidden layers.
        dtype: Keras dtype or dtype policy of all layers.

    Returns:
        A built `keras.Model`, `[batch, *input_shape] -> [batch, outputs]`.

    Example:

    >>> dense_network(1).count_params()
    1761
    """
    inputs = keras.Input(input_shape)
    x = layers.Flatten(dtype=dtype)(inputs) if len(input_shape) > 1 else inputs
    for number, width in enumerate(units, start=1):
        x = layers.Dense(width, "relu", dtype=dtype, name=f"dense{number}")(x)
    outputs = layers.Dense(outputs, dtype=dtype, name="outputs")(x)
    return keras.Model(inputs, outputs, name="dense_network")
