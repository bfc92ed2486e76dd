"""Keras' global dtype policy, for a while."""

import contextlib

import keras


@contextlib.contextmanager
def global_policy(name):
    """The policy that new layers have inside; with "float64", new tensors and variables too."""
    before = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_dtype_policy(name)
    if name == "float64":
        keras.config.set_floatx("float64")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before[0])
        keras.config.set_floatx(before[1])
