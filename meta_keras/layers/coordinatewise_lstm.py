"""The learned optimizer's update: a deep LSTM applied to every coordinate."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from meta_keras.arguments import Constant, Part, positive, real
from meta_keras.layers.cell import Cell
from meta_keras.layers.concatenated import get_preprocessing, named_preprocessing
from meta_keras.layers.lstm import lstm_step


def gradient_path(gradient, mean, gates, gradient_rate):
    """gradient_rate (10 exp(a_t) m^_t + exp(b_t) grad_t), where `gates` `[2, P]` are the exps."""
    return gradient_rate * (10.0 * gates[0] * mean + gates[1] * gradient)


def _positive_or_none(cell, name, value):
    return None if value is None else positive(cell, name, value)


class CoordinatewiseLSTMState(NamedTuple):
    """State of `CoordinatewiseLSTM` besides the parameters themselves.

    Attributes:
        h, c: tuples with the output and cell state of every LSTM layer, `[units, P]` each.
        preprocessing: the state of the cell's preprocessing.
        update: the step just taken, `[P]`.
    """

    h: tuple
    c: tuple
    preprocessing: Any
    update: tf.Tensor


@keras.saving.register_keras_serializable(package="meta_keras")
class CoordinatewiseLSTM(Cell):
    """The optimizer of "Learning to learn by gradient descent by gradient descent".

    One small deep LSTM proposes the update of every coordinate from its own gradients
    (Andrychowicz et al. 2016, section 2.1, https://arxiv.org/abs/1606.04474): the weights are
    shared by all coordinates, each has a state of its own.

        [g_t, h_t] = LSTM(pre(grad_t), h_{t-1})
        theta_t = theta_{t-1} + output_scale * g_t

    Where the preprocessing's features know no scale, g_t goes through a tanh, so that no step is
    longer than `output_scale` (Lv et al. 2017, https://arxiv.org/abs/1703.03633).

    With `gradient_rate`, this project's own addition, a second path leads past the bounded output,
    gated by two further outputs a_t, b_t of the same network, zero at first:

        theta_t = theta_{t-1} + output_scale * g_t
                  - gradient_rate (10 exp(a_t) m^_t + exp(b_t) grad_t)

    with the preprocessing's running mean m^_t. Normalised features know a gradient's direction
    only, and a bounded output cannot be in proportion to it; this path is gradient descent with
    momentum whose rate and momentum are learned, as the input gate of `GatedLSTMCell` is.

    Args:
        units: widths of the LSTM layers.
        preprocessing: a `Preprocessing`, or the name of one: `"none"` (the paper's quadratics),
            `"log_and_sign"` (the paper's networks), `"rnnprop"` (Lv et al. 2017) or `"combined"`,
            see `named_preprocessing`.
        output_scale: factor on the network's output; 0.1 in the paper's MNIST experiments.
        gradient_rate: learning rate with which the gradient's own path starts; None: no such path.

    Raises:
        ValueError: an argument is out of range, or `gradient_rate` is given to a preprocessing
            that keeps no mean.

    Call arguments: `gradient` and `parameters` `[P]`, `loss` scalar (not looked at), `state` a
    `CoordinatewiseLSTMState`. Returns `(parameters, state)` of the same shapes.
    """

    units = Part()
    preprocessing = Part()
    output_scale = Constant(positive)
    gradient_rate = Part(_positive_or_none)

    def __init__(
        self,
        units=(20, 20),
        preprocessing="log_and_sign",
        output_scale=0.1,
        gradient_rate=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        name = type(self).__name__
        self.units = tuple(units)
        if not self.units or any(not (real(w) % 1 == 0 and w > 0) for w in self.units):
            raise ValueError(f"{name}: units must be positive integers, got units={units!r}.")
        try:
            self.preprocessing = get_preprocessing(preprocessing)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        if gradient_rate is not None and not self.preprocessing.keeps_mean:
            raise ValueError(
                f"{name}: gradient_rate={gradient_rate!r} needs a preprocessing that keeps a mean, "
                f"preprocessing='rnnprop' or 'combined', got {preprocessing!r}."
            )
        self.output_scale = output_scale
        self.gradient_rate = gradient_rate

    def build(self, parameters_shape):
        def weight(name, shape, initializer):
            return self.add_weight(name=name, shape=shape, initializer=initializer)

        normal = keras.initializers.RandomNormal
        inputs = self.preprocessing.num_features
        self.kernels, self.biases = [], []
        for number, width in enumerate(self.units):
            glorot = keras.initializers.GlorotUniform()
            self.kernels.append(weight(f"kernel_{number}", (inputs + width, 4 * width), glorot))
            self.biases.append(weight(f"bias_{number}", (4 * width,), _forget_gate_starts_open))
            inputs = width
        self.output_kernel = weight("output_kernel", (inputs, 1), normal(stddev=0.01))
        self.output_bias = weight("output_bias", (), "zeros")
        if self.gradient_rate is not None:
            self.path_kernel = weight("path_kernel", (inputs, 2), normal(stddev=0.01))
            self.path_bias = weight("path_bias", (2,), "zeros")

    def initial_state(self, parameters):
        zeros = tuple(
            tf.zeros((width, tf.shape(parameters)[0]), parameters.dtype) for width in self.units
        )
        return CoordinatewiseLSTMState(
            h=zeros,
            c=zeros,
            preprocessing=self.preprocessing.initial_state(parameters),
            update=tf.zeros_like(parameters),
        )

    def observables(self, state):
        return {"update": state.update, "cell_state": tf.concat(state.c, axis=0)}

    def call(self, gradient, loss, parameters, state):
        x, mean, memory = self.preprocessing.step(gradient, state.preprocessing)
        hs, cs = [], []
        for kernel, bias, h, c in zip(self.kernels, self.biases, state.h, state.c, strict=True):
            x, c = lstm_step(tf.convert_to_tensor(kernel), tf.convert_to_tensor(bias), x, h, c)
            hs.append(x)
            cs.append(c)
        output = tf.matmul(self.output_kernel, x, transpose_a=True)[0] + self.output_bias
        update = self.output_scale * (tf.tanh(output) if self.preprocessing.bounded else output)
        if self.gradient_rate is not None:
            gates = tf.matmul(self.path_kernel, x, transpose_a=True)
            gates = tf.exp(gates + tf.convert_to_tensor(self.path_bias)[:, None])
            update -= gradient_path(gradient, mean, gates, self.gradient_rate)
        return parameters + update, CoordinatewiseLSTMState(tuple(hs), tuple(cs), memory, update)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "preprocessing": keras.saving.serialize_keras_object(self.preprocessing),
            "output_scale": self.output_scale,
            "gradient_rate": self.gradient_rate,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        p = config.pop("p", None)  # of files that name their preprocessing
        if p is not None:
            config["preprocessing"] = named_preprocessing(config["preprocessing"], p)
        return cls(**config)


def _forget_gate_starts_open(shape, dtype=None):
    """Keras' unit_forget_bias: one for the forget gate, the second of four, zero elsewhere."""
    quarter = shape[0] // 4
    return tf.repeat(tf.constant([0.0, 1.0, 0.0, 0.0], dtype), quarter)
