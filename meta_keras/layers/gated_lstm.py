"""The LSTM meta-learner's update: gradient descent whose gates are learned."""

from typing import NamedTuple

import keras
import tensorflow as tf

from meta_keras.arguments import Part, real
from meta_keras.layers.cell import Cell
from meta_keras.layers.log_and_sign import check_p, log_and_sign
from meta_keras.layers.lstm import lstm_step


def gate(kernel, bias, h, theta, previous):
    """sigmoid(W . [h_t, theta_{t-1}, gate_{t-1}] + b) for every coordinate.

    Args:
        kernel: `[U + 2]`, weights of h, theta and the previous gate in this order.
        bias: scalar.
        h: `[U, P]`.
        theta, previous: `[P]`.

    Returns:
        `[P]`, each in (0, 1).
    """
    units = h.shape[0]
    from_h = tf.linalg.matvec(h, kernel[:units], transpose_a=True)
    return tf.sigmoid(from_h + kernel[units] * theta + kernel[units + 1] * previous + bias)


def gated_update(gradient, theta, input_gate, forget_gate):
    """theta_t = f_t * theta_{t-1} - i_t * grad_t  (Ravi & Larochelle 2017, equation 2)."""
    return forget_gate * theta - input_gate * gradient


class GatedLSTMState(NamedTuple):
    """State of `GatedLSTMCell` besides the parameters themselves.

    Attributes:
        h, c: output and cell state of the first LSTM, `[units, P]`; None before the first step.
        input_gate, forget_gate: the gates of the step just taken, `[P]`.
    """

    h: tf.Tensor | None
    c: tf.Tensor | None
    input_gate: tf.Tensor
    forget_gate: tf.Tensor


@keras.saving.register_keras_serializable(package="meta_keras")
class GatedLSTMCell(Cell):
    """The meta-learner of "Optimization as a model for few-shot learning".

    Two layers, applied to every coordinate with shared weights (Ravi & Larochelle 2017, section
    3.1, https://openreview.net/forum?id=rJY0-Kcll). The first is an LSTM over the preprocessed
    gradient and loss, the second the gated update whose cell state *is* the parameter vector:

        h_t = LSTM([pre(grad_t), pre(loss_t)], h_{t-1})
        i_t = sigmoid(W_I . [h_t, theta_{t-1}, i_{t-1}] + b_I)
        f_t = sigmoid(W_F . [h_t, theta_{t-1}, f_{t-1}] + b_F)
        theta_t = f_t * theta_{t-1} - i_t * grad_t

    This is the paper's form: the gates feed back after the sigmoid (the official Lua code feeds
    back the value before it). Both gates are zero before the first step. Initial values follow
    the official code: weights U(-0.01, 0.01), forget bias U(4, 5), input bias U(-5, -4), so that
    training starts near gradient descent with a learning rate of about 0.01.

    Args:
        units: width of the first LSTM.
        p: of the log-and-sign features of gradient and loss, positive and at most 87.
        input_gate_bias_initializer: for b_I; sigmoid(b_I) is the initial learning rate.
        forget_gate_bias_initializer: for b_F.

    Raises:
        ValueError: `units` is not positive, or `p` out of range.

    Call arguments: `gradient` and `parameters` `[P]`, `loss` scalar, `state` a `GatedLSTMState`.
    Returns `(parameters, state)` of the same shapes.
    """

    units = Part()
    p = Part(check_p)
    input_gate_bias_initializer = Part()
    forget_gate_bias_initializer = Part()

    def __init__(
        self,
        units=20,
        p=10.0,
        input_gate_bias_initializer=None,
        forget_gate_bias_initializer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not (real(units) % 1 == 0 and units > 0):
            raise ValueError(f"GatedLSTMCell: units must be a positive integer, got {units!r}.")
        self.units = int(units)
        self.p = p
        self.input_gate_bias_initializer = keras.initializers.get(
            input_gate_bias_initializer or keras.initializers.RandomUniform(-5.0, -4.0)
        )
        self.forget_gate_bias_initializer = keras.initializers.get(
            forget_gate_bias_initializer or keras.initializers.RandomUniform(4.0, 5.0)
        )

    def build(self, parameters_shape):
        def weight(name, shape, initializer=None):
            initializer = initializer or keras.initializers.RandomUniform(-0.01, 0.01)
            return self.add_weight(name=name, shape=shape, initializer=initializer)

        # Rows of the LSTM kernel: two features of the gradient, two of the loss, then h.
        self.kernel = weight("kernel", (4 + self.units, 4 * self.units))
        self.bias = weight("bias", (4 * self.units,))
        self.input_gate_kernel = weight("input_gate_kernel", (self.units + 2,))
        self.input_gate_bias = weight("input_gate_bias", (), self.input_gate_bias_initializer)
        self.forget_gate_kernel = weight("forget_gate_kernel", (self.units + 2,))
        self.forget_gate_bias = weight("forget_gate_bias", (), self.forget_gate_bias_initializer)

    def initial_state(self, parameters):
        zeros = tf.zeros_like(parameters)
        return GatedLSTMState(h=None, c=None, input_gate=zeros, forget_gate=zeros)

    def observables(self, state):
        return {"input_gate": state.input_gate, "forget_gate": state.forget_gate}

    def call(self, gradient, loss, parameters, state):
        kernel = tf.convert_to_tensor(self.kernel)
        # The loss is the same for every coordinate: its share of the product is a bias.
        from_loss = tf.linalg.matvec(kernel[2:4], log_and_sign(loss, self.p), transpose_a=True)
        h, c = lstm_step(
            kernel=tf.concat([kernel[:2], kernel[4:]], axis=0),
            bias=self.bias + from_loss,
            x=log_and_sign(gradient, self.p),
            h=state.h,
            c=state.c,
        )
        i = gate(self.input_gate_kernel, self.input_gate_bias, h, parameters, state.input_gate)
        f = gate(self.forget_gate_kernel, self.forget_gate_bias, h, parameters, state.forget_gate)
        return gated_update(gradient, parameters, i, f), GatedLSTMState(h, c, i, f)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "p": self.p,
            "input_gate_bias_initializer": keras.initializers.serialize(
                self.input_gate_bias_initializer
            ),
            "forget_gate_bias_initializer": keras.initializers.serialize(
                self.forget_gate_bias_initializer
            ),
        }
