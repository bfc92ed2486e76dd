"""What a learned optimizer sees of a gradient: small objects that own their state."""

import math
from typing import Any, NamedTuple

import keras
import tensorflow as tf


def log_and_sign(x, p):
    """The two features of every entry of `x`, along a new first axis.

        (log|x| / p, sgn(x))    where |x| >= exp(-p)
        (-1, exp(p) x)          elsewhere

    Andrychowicz et al. 2016, appendix A, https://arxiv.org/abs/1606.04474.

    Args:
        x: float tensor of any shape `S`.
        p: positive float; magnitudes below `exp(-p)` are read linearly.

    Returns:
        Tensor of shape `[2, *S]` and the dtype of `x`.
    """
    smallest = math.exp(-p)
    # The logarithm never sees anything below exp(-p), so both features and their
    # derivatives are finite everywhere, zero included.
    magnitude = tf.math.log(tf.maximum(tf.abs(x), smallest)) / p
    sign = tf.clip_by_value(x / smallest, -1.0, 1.0)
    return tf.stack([magnitude, sign])


def rnnprop_features(gradient, m, v, step, beta=0.95, epsilon=1e-8):
    """The gradient and its running mean, both over its running root mean square.

        m_t = beta m_{t-1} + (1 - beta) grad_t        m^_t = m_t / (1 - beta^t)
        v_t = beta v_{t-1} + (1 - beta) grad_t^2      v^_t = v_t / (1 - beta^t)
        features: m^_t / sqrt(v^_t), grad_t / sqrt(v^_t)

    Lv, Jiang & Li 2017, section 4.2, https://arxiv.org/abs/1703.03633: what Adam and RMSprop would
    do, whatever the gradient's scale.

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


class Preprocessed(NamedTuple):
    """What a `Preprocessing` makes of a gradient.

    Attributes:
        features: `[F, P]`.
        mean: running mean of the gradient, `[P]`, or None if it keeps none.
        state: the preprocessing's own state after the step.
    """

    features: tf.Tensor
    mean: tf.Tensor | None
    state: Any


class Preprocessing:
    """Turns the gradient of every coordinate into features a network can read.

    Subclasses implement `__call__(gradient [P], state) -> Preprocessed`, a pure function.

    Attributes:
        num_features: F.
        keeps_mean: whether it keeps a running mean of the gradient.
        bounded: whether features know no scale, so that the network's output should be bounded.
    """

    num_features = 1
    keeps_mean = False
    bounded = False

    def initial_state(self, parameters):
        """The state before the first step for `parameters` of shape `[P]`; none by default."""
        return ()

    def __call__(self, gradient, state):
        raise NotImplementedError(f"{type(self).__name__} must implement __call__().")

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="meta_keras")
class RawGradient(Preprocessing):
    """The gradient itself, as on the quadratics of Andrychowicz et al. 2016.

    https://arxiv.org/abs/1606.04474
    """

    def __call__(self, gradient, state):
        return Preprocessed(gradient[None], None, state)


@keras.saving.register_keras_serializable(package="meta_keras")
class LogAndSign(Preprocessing):
    """Logarithm and sign of the gradient, see `log_and_sign`.

    Args:
        p: positive float; the papers use 10.

    Raises:
        ValueError: `p` is not positive.

    Example:

    >>> LogAndSign(p=10)(keras.ops.array([1.0, -1.0]), ()).features.shape
    TensorShape([2, 2])
    """

    num_features = 2

    def __init__(self, p=10.0):
        if not p > 0:
            raise ValueError(f"LogAndSign: p must be positive, got p={p!r}.")
        self.p = float(p)

    def __call__(self, gradient, state):
        return Preprocessed(log_and_sign(gradient, self.p), None, state)

    def get_config(self):
        return {"p": self.p}


class RNNPropState(NamedTuple):
    """State of `RNNProp`: running means of the gradient and of its square, `[P]`; steps taken."""

    m: tf.Tensor
    v: tf.Tensor
    step: tf.Tensor


@keras.saving.register_keras_serializable(package="meta_keras")
class RNNProp(Preprocessing):
    """Gradient and running mean over the running root mean square, see `rnnprop_features`.

    Args:
        beta: decay of both running means, in [0, 1).
        epsilon: added to the root.

    Raises:
        ValueError: an argument is out of range.
    """

    num_features = 2
    keeps_mean = True
    bounded = True

    def __init__(self, beta=0.95, epsilon=1e-8):
        if not 0 <= beta < 1:
            raise ValueError(f"RNNProp: beta must be in [0, 1), got beta={beta!r}.")
        if not epsilon > 0:
            raise ValueError(f"RNNProp: epsilon must be positive, got epsilon={epsilon!r}.")
        self.beta = float(beta)
        self.epsilon = float(epsilon)

    def initial_state(self, parameters):
        zeros = tf.zeros_like(parameters)
        return RNNPropState(zeros, zeros, tf.zeros((), parameters.dtype))

    def __call__(self, gradient, state):
        step = state.step + 1.0
        features, mean, m, v = rnnprop_features(
            gradient, state.m, state.v, step, self.beta, self.epsilon
        )
        return Preprocessed(features, mean, RNNPropState(m, v, step))

    def get_config(self):
        return {"beta": self.beta, "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="meta_keras")
class Concatenated(Preprocessing):
    """The features of several preprocessings, one below the other.

    Args:
        parts: list of `Preprocessing`s.

    Raises:
        ValueError: there are none.
    """

    def __init__(self, parts):
        if not parts:
            raise ValueError("Concatenated: parts must not be empty.")
        self.parts = list(parts)
        self.num_features = sum(part.num_features for part in self.parts)
        self.keeps_mean = any(part.keeps_mean for part in self.parts)
        self.bounded = any(part.bounded for part in self.parts)

    def initial_state(self, parameters):
        return tuple(part.initial_state(parameters) for part in self.parts)

    def __call__(self, gradient, state):
        done = [part(gradient, own) for part, own in zip(self.parts, state, strict=True)]
        means = [part.mean for part in done if part.mean is not None]
        return Preprocessed(
            tf.concat([part.features for part in done], axis=0),
            means[0] if means else None,
            tuple(part.state for part in done),
        )

    def get_config(self):
        return {"parts": [keras.saving.serialize_keras_object(part) for part in self.parts]}

    @classmethod
    def from_config(cls, config):
        return cls([keras.saving.deserialize_keras_object(part) for part in config["parts"]])


NAMED = {
    "none": RawGradient,
    "log_and_sign": LogAndSign,
    "rnnprop": RNNProp,
    "combined": lambda: Concatenated([RNNProp(), LogAndSign()]),
}


def get(identifier):
    """A `Preprocessing` from itself, its name or its serialized form.

    `"none"`: `RawGradient` (the paper's quadratics). `"log_and_sign"`: `LogAndSign` (the paper's
    networks). `"rnnprop"`: `RNNProp` (Lv et al. 2017). `"combined"`, this project's own:
    `RNNProp` and `LogAndSign`, whose features tell a coordinate whose gradient is noise around
    nothing.

    Raises:
        ValueError: there is none of that name.
    """
    if isinstance(identifier, Preprocessing):
        return identifier
    if isinstance(identifier, dict):
        return keras.saving.deserialize_keras_object(identifier)
    if identifier not in NAMED:
        raise ValueError(
            f"preprocessing must be a Preprocessing or one of {tuple(NAMED)}, got {identifier!r}."
        )
    return NAMED[identifier]()
