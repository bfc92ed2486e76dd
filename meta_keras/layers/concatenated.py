"""Several preprocessings at once, and the preprocessings that have names."""

import keras
import tensorflow as tf

from meta_keras.arguments import Part
from meta_keras.layers.log_and_sign import LogAndSign
from meta_keras.layers.preprocessing import Preprocessing, RawGradient
from meta_keras.layers.rnnprop import RNNProp


@keras.saving.register_keras_serializable(package="meta_keras")
class Concatenated(Preprocessing):
    """The features of several preprocessings, one below the other. F is the sum of theirs.

    Args:
        parts: list of `Preprocessing`s. The mean is that of the first that keeps one.

    Raises:
        ValueError: there are no parts.

    Example:

    >>> Concatenated([RNNProp(), LogAndSign()]).num_features
    4
    """

    parts = Part()

    def __init__(self, parts):
        if not parts:
            raise ValueError("Concatenated: at least one part is needed.")
        self.parts = tuple(parts)

    @property
    def num_features(self):
        return sum(part.num_features for part in self.parts)

    @property
    def keeps_mean(self):
        return any(part.keeps_mean for part in self.parts)

    @property
    def bounded(self):
        return any(part.bounded for part in self.parts)

    def initial_state(self, parameters):
        return tuple(part.initial_state(parameters) for part in self.parts)

    def step(self, gradient, state):
        steps = [part.step(gradient, own) for part, own in zip(self.parts, state, strict=True)]
        features, means, states = zip(*steps, strict=True)
        mean = next((mean for mean in means if mean is not None), None)
        return tf.concat(features, axis=0), mean, states

    def get_config(self):
        return {"parts": [keras.saving.serialize_keras_object(part) for part in self.parts]}

    @classmethod
    def from_config(cls, config):
        return cls([keras.saving.deserialize_keras_object(part) for part in config["parts"]])


NAMES = {
    "none": lambda p: RawGradient(),
    "log_and_sign": LogAndSign,
    "rnnprop": lambda p: RNNProp(),
    "combined": lambda p: Concatenated([RNNProp(), LogAndSign(p)]),
}


def named_preprocessing(name, p=10.0):
    """The preprocessing of a name.

    Args:
        name: `"none"`: `RawGradient`; `"log_and_sign"`; `"rnnprop"`; or `"combined"`, this
            project's own: rnnprop's two features, which know no scale, and log-and-sign's two,
            which tell a coordinate whose gradient is noise around nothing.
        p: of the log-and-sign features.

    Raises:
        ValueError: there is no such name.
    """
    if name not in NAMES:
        raise ValueError(f"preprocessing must be one of {tuple(NAMES)}, got {name!r}.")
    return NAMES[name](p)


def get_preprocessing(identifier):
    """A `Preprocessing` from itself, a name (see `named_preprocessing`) or a serialized one."""
    if isinstance(identifier, str):
        return named_preprocessing(identifier)
    if isinstance(identifier, dict):
        identifier = keras.saving.deserialize_keras_object(identifier)
    if isinstance(identifier, Preprocessing):
        return identifier
    raise ValueError(
        f"preprocessing must be a Preprocessing or one of {tuple(NAMES)}, got {identifier!r}."
    )
