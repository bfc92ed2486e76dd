"""Adam whose direction and rate small networks correct: for any model."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from meta_keras.arguments import Constant, Part, positive, positive_integer
from meta_keras.errors import SettingError
from meta_keras.layers.cell import Cell
from meta_keras.layers.moments import factored_root, running_mean, safe_root
from meta_keras.layers.scale_free import (
    COORDINATE_FEATURES,
    TIME_FEATURES,
    coordinate_features,
    decay,
    time_features,
)
from meta_keras.layers.tensors import SHAPE_FEATURES, Tensors

MEANS = (0.5, 0.9, 0.99)  # decays of the running means of the gradient
SQUARES = (0.95, 0.999)  # and of its square
RUN_FEATURES = 8
MEMORY = 50  # Steps over which what the run teaches of the rates is averaged.
LARGEST = 1e15  # Gradients are taken for no larger, whose squares' sums might be infinite.
BLOCK = 2**17  # Coordinates whose features are in memory at a time.


class CorrectedAdamState(NamedTuple):
    """State of `CorrectedAdam` besides the parameters themselves.

    Attributes:
        means: running means of the gradient with decays 0.5, 0.9 and 0.99, `[3, P]`.
        squares: running means of its square with decays 0.95 and 0.999, `[2, P]`.
        rows, columns: tuples of running means of the square over the rows and columns of every
            matrix, decay 0.999.
        rates: the logarithm of what the run has taught of every tensor's rate, `[T]`.
        step: float scalar, steps so far.
        horizon: float scalar N, the length of the whole run; 0 where it is not known.
    """

    means: tf.Tensor
    squares: tf.Tensor
    rows: tuple
    columns: tuple
    rates: tf.Tensor
    step: tf.Tensor
    horizon: tf.Tensor


@keras.saving.register_keras_serializable(package="meta_keras")
class CorrectedAdam(Cell):
    """Adam whose direction and rate small networks correct, one of them for all models.

        (a, b, e) = net(what is known of the tensor)
        d = m_.9 / s + w x + mlp(x, e),    x: what is known of the coordinate
        theta_t = theta_{t-1} - rate h(t) exp(a + l_{t-1}) d,    l_t = l_{t-1} + (b - l_{t-1}) / 50
        h(t) = 1 - (t - 1) / N;  1 / sqrt(1 + (t - 1) / 100) where N is not known

    m_.9 / s is Adam's direction: untrained this is Adam whose rate goes down in a straight line.
    `net` sees of a tensor the time and the length of the run (`time_features`), the shape
    (`Tensors.features`) and of the run so far (`run_features`) the size of parameters and steps,
    how far gradients point the same way and how noisy they are; `mlp` sees `coordinate_features`.

    A correction that is added to a nominal step: Harrison, Metz & Sohl-Dickstein 2022, "A closer
    look at learned optimization", https://arxiv.org/abs/2209.11208. A network that schedules every
    tensor's rate: Moudgil et al. 2025, "Celo", https://arxiv.org/abs/2501.12670.

    After N steps nothing changes any more: rates stay what they were at the last step.

    Memory: five numbers a coordinate and one a row and a column of a matrix, in float32 20 bytes a
    weight (24 of a single column), where Adam keeps 8.

    Args:
        units: widths of the layers of `mlp`; without any, which is the default, there is no mlp,
            and the direction is a fixed mixture.
        tensor_units: width of the hidden layer of `net`; None, the default: without, so that rates
            are products of powers.
        rate: rate to begin with.
        steps: N, the steps of a whole run; None if that is not known.
        shapes: list of the variables' shapes: what `prepare` finds out, for loading; by default all
            coordinates are one vector.

    Raises:
        SettingError: an argument is out of range; or the cell runs on other coordinates than those
            it was prepared for.

    Call arguments: `gradient` and `parameters` `[P]`, `loss` scalar (not looked at), `state` a
    `CorrectedAdamState`. Returns `(parameters, state)` of the same shapes.
    """

    step_sizes = 7
    units = Part()
    tensor_units = Part(positive_integer(optional=True))
    rate = Constant(positive)
    steps = Constant(positive_integer(optional=True))

    def __init__(self, units=(), tensor_units=None, rate=0.01, steps=None, shapes=None, **kwargs):
        super().__init__(**kwargs)
        check = positive_integer()
        self.units = tuple(check(self, "units", width) for width in units)
        self.tensor_units = tensor_units
        self.rate = rate
        self.steps = steps
        self.shapes = None if shapes is None else [tuple(shape) for shape in shapes]

    def prepare(self, variables):
        self.shapes = [tuple(variable.shape) for variable in variables]

    def build(self, parameters_shape):
        normal = keras.initializers.RandomNormal

        def weight(name, shape, fan_in=None):
            initializer = normal(stddev=fan_in**-0.5) if fan_in else "zeros"
            return self.add_weight(name=name, shape=shape, initializer=initializer)

        context = TIME_FEATURES + SHAPE_FEATURES + RUN_FEATURES
        hidden, outputs = self.tensor_units, 2 + sum(self.units[:1])
        if hidden:
            self.tensor_kernel = weight("tensor_kernel", (context, hidden), context)
            self.tensor_bias = weight("tensor_bias", (hidden,))
            self.tensor_output = weight("tensor_output", (hidden, outputs))
        # Past the hidden layer: a rate's logarithm is a sum of those of its factors.
        self.tensor_direct = weight("tensor_direct", (context, outputs))
        self.tensor_shift = weight("tensor_shift", (outputs,))
        inputs, self.kernels, self.biases = COORDINATE_FEATURES, [], []
        for number, width in enumerate(self.units):
            self.kernels.append(weight(f"kernel_{number}", (inputs, width), inputs))
            self.biases.append(weight(f"bias_{number}", (width,)))
            inputs = width
        if self.units:
            self.output_kernel = weight("output_kernel", (inputs,))
        self.direct = weight("direct", (COORDINATE_FEATURES,))

    def initial_state(self, parameters):
        tensors, dtype = self._tensors(parameters), parameters.dtype
        matrices = [matrix for matrix in tensors.matrices if matrix]
        return CorrectedAdamState(
            means=tf.zeros([len(MEANS), *parameters.shape], dtype),
            squares=tf.zeros([len(SQUARES), *parameters.shape], dtype),
            rows=tuple(tf.zeros([rows], dtype) for rows, _ in matrices),
            columns=tuple(tf.zeros([columns], dtype) for _, columns in matrices),
            rates=tf.zeros([len(tensors)], dtype),
            step=tf.zeros((), dtype),
            horizon=tf.constant(float(self.steps or 0), dtype),
        )

    def for_horizon(self, state, steps):
        return state._replace(horizon=tf.cast(steps, state.horizon.dtype))

    def select(self, moved, after, before):
        first = np.cumsum([0, *self._tensors(moved).sizes[:-1]])
        tensors = tf.gather(moved, first)
        of_matrices = [
            tensors[number] for number, shape in enumerate(self._tensors(moved).matrices) if shape
        ]

        def matrices(new, old):
            return tuple(tf.where(m, a, b) for m, a, b in zip(of_matrices, new, old, strict=True))

        return after._replace(
            means=tf.where(moved, after.means, before.means),
            squares=tf.where(moved, after.squares, before.squares),
            rows=matrices(after.rows, before.rows),
            columns=matrices(after.columns, before.columns),
            rates=tf.where(tensors, after.rates, before.rates),
        )

    def observables(self, state):
        return {"mean": state.means[1]}

    def call(self, gradient, loss, parameters, state):
        tensors, dtype = self._tensors(parameters), parameters.dtype
        gradient = tf.clip_by_value(gradient, -LARGEST, LARGEST)
        step, square = state.step + 1.0, tf.square(gradient)
        betas, square_betas = (tf.constant(b, dtype)[:, None] for b in (MEANS, SQUARES))
        means, m = running_mean(gradient, state.means, betas, step)
        squares, v = running_mean(square, state.squares, square_betas, step)
        fast, slow = tf.unstack(safe_root(v))
        factored, rows, columns = factored_root(
            square, tensors, state.rows, state.columns, SQUARES[1], step
        )
        factored = tf.where(factored > 0, factored, slow)
        adam, mean_slow = m[1] / slow, tensors.means(slow)
        rms = safe_root(tensors.means(tf.square(parameters)))

        run = self.run_features(tensors, gradient, state.means[1], m, v[1], adam, rms, state.rates)
        context = tf.concat(
            [
                tf.repeat(time_features(step, state.horizon)[:, None], len(tensors), axis=1),
                tensors.features(dtype),
                run,
            ],
            axis=0,
        )
        logarithm, change, shift = tf.split(self.net(context), [1, 1, -1])
        rate = self.rate * decay(step, state.horizon) * tf.exp(logarithm[0] + state.rates)

        def after(start, stop):
            """The parameters from `start` to `stop`."""
            part = slice(start, stop)
            features = coordinate_features(
                gradient[part],
                parameters[part],
                m[:, part],
                fast[part],
                slow[part],
                factored[part],
                tensors.spread(mean_slow, start, stop),
                tensors.spread(rms, start, stop),
            )
            direction = adam[part] + self.mlp(features, tensors.spread(shift, start, stop))
            return parameters[part] - tensors.spread(rate, start, stop) * direction

        rates = state.rates + (change[0] - state.rates) / MEMORY
        return in_blocks(after, parameters.shape[0]), CorrectedAdamState(
            means, squares, rows, columns, rates, step, state.horizon
        )

    def run_features(self, tensors, gradient, before, m, v, adam, rms, rates):
        """What the run so far tells of every tensor: `[8, T]`.

        log(rms(theta)) / 5, log(rms(m_.9 / s)) / 2, cos(grad, m_.9 before), cos(m_.5, m_.99),
        log(mean(m_.99^2) / mean(s^2)) / 5, l, and the two cosines' means over all tensors
        """
        pairs = (adam, adam), (gradient, gradient), (before, before), (gradient, before)
        pairs += (m[0], m[0]), (m[2], m[2]), (m[0], m[2])
        u2, g2, b2, gb, f2, s2, fs = (tensors.means(a * b) for a, b in pairs)
        cosines = [gb / (safe_root(g2) * safe_root(b2)), fs / (safe_root(f2) * safe_root(s2))]
        noise = tf.math.log((s2 + 1e-16) / (tensors.means(v) + 1e-16)) / 5.0
        own = [tf.math.log(rms) / 5.0, tf.math.log(safe_root(u2)) / 2.0, *cosines, noise, rates]
        everyone = [tf.reduce_mean(cosine) + tf.zeros_like(cosine) for cosine in cosines]
        return tf.stack([*own, *everyone])

    def net(self, context):
        """The tensors' network: `[24, T]` -> a, b and e, `[2 + sum(units[:1]), T]`."""
        straight = _dense(self.tensor_direct, context, self.tensor_shift)
        if not self.tensor_units:
            return straight
        hidden = tf.tanh(_dense(self.tensor_kernel, context, self.tensor_bias))
        return straight + tf.matmul(self.tensor_output, hidden, transpose_a=True)

    def mlp(self, x, shift):
        """The coordinates' networks, w x + mlp(x, e): `[9, n]`, `[units[0], n]` -> `[n]`."""
        straight = tf.linalg.matvec(x, tf.convert_to_tensor(self.direct), transpose_a=True)
        if not self.units:
            return straight
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            x = _dense(kernel, x, bias)
            x = tf.nn.relu(x if shift is None else x + shift)
            shift = None
        kernel = tf.convert_to_tensor(self.output_kernel)
        return straight + tf.linalg.matvec(x, kernel, transpose_a=True)

    def _tensors(self, parameters):
        tensors = Tensors([parameters.shape] if self.shapes is None else self.shapes)
        if sum(tensors.sizes) != parameters.shape[0]:
            raise SettingError(
                f"CorrectedAdam: it was prepared for {sum(tensors.sizes)} coordinates, not "
                f"{parameters.shape[0]}."
            )
        return tensors

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "tensor_units": self.tensor_units,
            "rate": self.rate,
            "steps": self.steps,
            "shapes": self.shapes,
        }


def _dense(kernel, x, bias):
    """`[inputs, n]` -> `[outputs, n]`."""
    return tf.matmul(kernel, x, transpose_a=True) + tf.convert_to_tensor(bias)[:, None]


def in_blocks(function, size):
    """Joins what a function of `start` and `stop` gives for blocks, of which one at a time is in
    memory."""
    parts = []
    for start in range(0, size, BLOCK):
        with tf.control_dependencies(parts[-1:]):
            parts.append(function(start, min(size, start + BLOCK)))
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)
