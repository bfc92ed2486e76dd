"""Arguments of a model that stay attributes: checked when they are set, and obeyed at once."""

import math

import tensorflow as tf

from meta_keras.errors import SettingError


class Argument:
    """An attribute of a `keras.Model` that may be changed at any time.

    Steps that Keras has compiled already are compiled anew, so that a change counts from the next
    step on.

    Args:
        check: function `(model, name, value)` to the value to keep; it raises a `ValueError` for
            one that is not allowed.
        then: function `(model, value)`: what else follows from a new value.
    """

    def __init__(self, check=None, then=None):
        self.check = check
        self.then = then

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, model, owner=None):
        if model is None:
            return self
        try:
            return vars(model)[self.name]
        except KeyError:
            raise AttributeError(self.name) from None

    def __set__(self, model, value):
        if self.check:
            value = self.check(model, self.name, value)
        vars(model)[self.name] = value
        if self.then:
            self.then(model, value)
        for step in ("train", "test", "predict"):
            if getattr(model, f"{step}_function", None) is not None:
                getattr(model, f"make_{step}_function")(force=True)


class Part(Argument):
    """An attribute that is set once: what a model is made of."""

    def __set__(self, model, value):
        if self.name in vars(model):
            raise SettingError(
                f"{type(model).__name__}: {self.name} cannot be replaced, all else is built around "
                "it; make a new one."
            )
        vars(model)[self.name] = self.check(model, self.name, value) if self.check else value


class Constant(Argument):
    """A number of a `Cell`, `Preprocessing` or `Problem`, to be changed until a graph has read it.

    The graph holds it from then on, so that later changes would not be seen.
    """

    def __get__(self, cell, owner=None):
        if cell is not None and tf.inside_function():
            vars(cell)["in_graph"] = True
        return super().__get__(cell, owner)

    def __set__(self, cell, value):
        if getattr(cell, "in_graph", False):
            raise SettingError(
                f"{type(cell).__name__}: {self.name}={value!r} is set too late: it has run in a "
                "graph, which goes on with the value before; make a new one, and anew what was "
                "made of it, such as a learner or an optimizer."
            )
        super().__set__(cell, value)


def refusal(model, name, value, allowed):
    """The `SettingError` for a value that is not allowed."""
    return SettingError(f"{type(model).__name__}: {name} must {allowed}, got {value!r}.")


def positive_integer(optional=False):
    """A check for positive integers, and None if it is optional."""

    def check(model, name, value):
        if value is None and optional:
            return None
        # NumPy's integers have it as well, and are not subclasses of int.
        if not hasattr(value, "__index__") or isinstance(value, bool) or value < 1:
            raise refusal(model, name, value, "be a positive integer")
        return int(value)

    return check


def real(value):
    """A number as a float; NaN, for which no comparison holds, for what is no number."""
    if isinstance(value, (bool, str, bytes)):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def positive(model, name, value):
    """A check for positive, finite numbers."""
    if not 0 < real(value) < math.inf:
        infinite = " and finite" if real(value) == math.inf else ""
        raise refusal(model, name, value, f"be positive{infinite}")
    return real(value)


def decay(model, name, value):
    """A check for what a running mean keeps of itself at every step, in [0, 1)."""
    if not 0 <= real(value) < 1:
        raise refusal(model, name, value, "be in [0, 1)")
    return real(value)


def one_of(choices):
    """A check for one of some texts."""

    def check(model, name, value):
        if value not in choices:
            raise refusal(model, name, value, f"be one of {choices}")
        return value

    return check


def boolean(model, name, value):
    """A check for True and False."""
    if value not in (True, False):
        raise refusal(model, name, value, "be True or False")
    return bool(value)
