"""The learned optimizer's update: a deep LSTM applied to every coordinate."""

from typing import NamedTuple

import keras
import tensorflow as tf

from meta_keras.layers.cell import Cell
from meta_keras.layers.lstm import lstm_step
from meta_keras.layers.preprocessing import log_and_sign

PREPROCESSING = ("none", "log_and_sign", "rnnprop", "combined")


def rnnprop_features(gradient, m, v, step, beta=0.95, epsilon=1e-8):
    """The gradient and its running mean, both over its running root mean square.

        m_t = beta m_{t-1} + (1 - beta) grad_t        m^_t = m_t / (1 - beta^t)
        v_t = beta v_{t-1} + (1 - beta) grad_t^2      v^_t = v_t / (1 - beta^t)
        features: m^_t / sqrt(v^_t), grad_t / sqrt(v^_t)

    Lv, Jiang & Li 2017, "Learning gradient descent: better generalization and longer horizons",
    section 4.2: what Adam and RMSprop would do, whatever the gradient's scale.

    Args:
        gradient, m, v: `[P]`.
        step: float scalar t, 1 at the first step.
        beta: decay of both running means.
        epsilon: added to the root.

    Returns:
        `(features [2, P], m^_t, m_t, v_t)`.
    """
    m = beta * m + (1.0 - beta) * gradient
    v = beta * v + (1.0 - beta) * tf.square(gradient)
    correction = 1.0 - beta**step
    # The root of an exact zero has no derivative.
    root = tf.sqrt(tf.maximum(v / correction, 1e-30)) + epsilon
    mean = m / correction
    return tf.stack([mean / root, gradient / root]), mean, m, v


class CoordinatewiseLSTMState(NamedTuple):
    """State of `CoordinatewiseLSTM` besides the parameters themselves.

    Attributes:
        h, c: tuples with the output and cell state of every LSTM layer, `[units, P]` each.
        m, v: running means of the gradient and of its square, `[P]`; `[0]` unless they are used.
        step: float scalar, number of steps taken.
        update: the step just taken, `[P]`.
    """

    h: tuple
    c: tuple
    m: tf.Tensor
    v: tf.Tensor
    step: tf.Tensor
    update: tf.Tensor


@keras.saving.register_keras_serializable(package="meta_keras")
class CoordinatewiseLSTM(Cell):
    """The optimizer of "Learning to learn by gradient descent by gradient descent".

    One small deep LSTM proposes the update of every coordinate from its own gradients
    (Andrychowicz et al. 2016, section 2.1): the weights are shared by all coordinates, each has
    a state of its own.

        [g_t, h_t] = LSTM(pre(grad_t), h_{t-1})
        theta_t = theta_{t-1} + output_scale * g_t

    With `gradient_rate`, this project's own addition, a second path leads past the bounded output,
    gated by two further outputs a_t, b_t of the same network, zero at first:

        theta_t = theta_{t-1} + output_scale * g_t
                  - gradient_rate (10 exp(a_t) m^_t + exp(b_t) grad_t)

    with the running mean m^_t of `rnnprop_features`. Normalised features know a gradient's
    direction only, and a bounded output cannot be in proportion to it; this path is gradient
    descent with momentum whose rate and momentum are learned, as the input gate of
    `GatedLSTMCell` is.

    Args:
        units: widths of the LSTM layers.
        preprocessing: `"none"`: the gradient itself (the paper's quadratics). `"log_and_sign"`:
            see `LogAndSign` (the paper's networks). `"rnnprop"`: see `rnnprop_features`, and g_t
            goes through a tanh (Lv et al. 2017), so that no step is longer than `output_scale`.
            `"combined"`, this project's own: rnnprop's two features, which know no scale, and
            log-and-sign's two, which tell a coordinate whose gradient is noise around nothing;
            with the tanh.
        p: parameter of the log-and-sign preprocessing; 10 in the paper.
        output_scale: factor on the network's output; 0.1 in the paper's MNIST experiments.
        gradient_rate: learning rate with which the gradient's own path starts; None: no such path.

    Raises:
        ValueError: an argument is out of range.

    Call arguments: `gradient` and `parameters` `[P]`, `loss` scalar (not looked at), `state` a
    `CoordinatewiseLSTMState`. Returns `(parameters, state)` of the same shapes.
    """

    def __init__(
        self,
        units=(20, 20),
        preprocessing="log_and_sign",
        p=10.0,
        output_scale=0.1,
        gradient_rate=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        name = type(self).__name__
        self.units = tuple(units)
        if not self.units or any(width != int(width) or width < 1 for width in self.units):
            raise ValueError(f"{name}: units must be positive integers, got units={units!r}.")
        if preprocessing not in PREPROCESSING:
            raise ValueError(
                f"{name}: preprocessing must be one of {PREPROCESSING}, got {preprocessing!r}."
            )
        if not p > 0:
            raise ValueError(f"{name}: p must be positive, got p={p!r}.")
        if not output_scale > 0:
            raise ValueError(
                f"{name}: output_scale must be positive, got output_scale={output_scale!r}."
            )
        self.preprocessing = preprocessing
        if gradient_rate is not None and not gradient_rate > 0:
            raise ValueError(
                f"{name}: gradient_rate must be positive or None, got {gradient_rate!r}."
            )
        if gradient_rate is not None and not self._uses_means:
            raise ValueError(
                f"{name}: gradient_rate={gradient_rate!r} needs preprocessing='rnnprop' or "
                f"'combined', got {preprocessing!r}."
            )
        self.p = float(p)
        self.output_scale = float(output_scale)
        self.gradient_rate = None if gradient_rate is None else float(gradient_rate)

    def build(self, parameters_shape):
        inputs = {"none": 1, "combined": 4}.get(self.preprocessing, 2)
        self.kernels, self.biases = [], []
        for number, width in enumerate(self.units):
            kernel = self.add_weight(
                name=f"kernel_{number}",
                shape=(inputs + width, 4 * width),
                initializer=keras.initializers.GlorotUniform(),
            )
            bias = self.add_weight(
                name=f"bias_{number}",
                shape=(4 * width,),
                initializer=_forget_gate_starts_open,
            )
            self.kernels.append(kernel)
            self.biases.append(bias)
            inputs = width
        self.output_kernel = self.add_weight(
            name="output_kernel",
            shape=(inputs, 1),
            initializer=keras.initializers.RandomNormal(stddev=0.01),
        )
        self.output_bias = self.add_weight(name="output_bias", shape=(), initializer="zeros")
        if self.gradient_rate is not None:
            self.path_kernel = self.add_weight(
                name="path_kernel",
                shape=(inputs, 2),
                initializer=keras.initializers.RandomNormal(stddev=0.01),
            )
            self.path_bias = self.add_weight(name="path_bias", shape=(2,), initializer="zeros")

    @property
    def _uses_means(self):
        return self.preprocessing in ("rnnprop", "combined")

    def initial_state(self, parameters):
        zeros = tuple(
            tf.zeros((width, tf.shape(parameters)[0]), parameters.dtype) for width in self.units
        )
        means = tf.zeros_like(parameters if self._uses_means else parameters[:0])
        return CoordinatewiseLSTMState(
            h=zeros,
            c=zeros,
            m=means,
            v=means,
            step=tf.zeros((), parameters.dtype),
            update=tf.zeros_like(parameters),
        )

    def observables(self, state):
        return {"update": state.update, "cell_state": tf.concat(state.c, axis=0)}

    def call(self, gradient, loss, parameters, state):
        step, m, v = state.step + 1.0, state.m, state.v
        features = []
        if self._uses_means:
            x, mean, m, v = rnnprop_features(gradient, m, v, step)
            features.append(x)
        if self.preprocessing in ("log_and_sign", "combined"):
            features.append(log_and_sign(gradient, self.p))
        x = tf.concat(features or [gradient[None]], axis=0)
        hs, cs = [], []
        for kernel, bias, h, c in zip(self.kernels, self.biases, state.h, state.c, strict=True):
            x, c = lstm_step(tf.convert_to_tensor(kernel), tf.convert_to_tensor(bias), x, h, c)
            hs.append(x)
            cs.append(c)
        output = tf.matmul(self.output_kernel, x, transpose_a=True)[0] + self.output_bias
        if self._uses_means:
            output = tf.tanh(output)
        update = self.output_scale * output
        if self.gradient_rate is not None:
            gates = tf.matmul(self.path_kernel, x, transpose_a=True)
            gates = tf.exp(gates + tf.convert_to_tensor(self.path_bias)[:, None])
            update -= self.gradient_rate * (10.0 * gates[0] * mean + gates[1] * gradient)
        state = CoordinatewiseLSTMState(tuple(hs), tuple(cs), m, v, step, update)
        return parameters + update, state

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "preprocessing": self.preprocessing,
            "p": self.p,
            "output_scale": self.output_scale,
            "gradient_rate": self.gradient_rate,
        }


def _forget_gate_starts_open(shape, dtype=None):
    """Keras' unit_forget_bias: one for the forget gate, the second of four, zero elsewhere."""
    quarter = shape[0] // 4
    return tf.repeat(tf.constant([0.0, 1.0, 0.0, 0.0], dtype), quarter)
