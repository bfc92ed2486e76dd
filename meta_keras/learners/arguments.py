"""Arguments of a learner that stay attributes: checked when they are set, and obeyed at once."""


class Argument:
    """An attribute that may be changed at any time.

    Steps that Keras has compiled already are compiled anew, so that a change counts from the next
    step on.

    Args:
        check: function `(learner, name, value)` to the value to keep; it raises a `ValueError` for
            one that is not allowed.
    """

    def __init__(self, check=None):
        self.check = check

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, learner, owner=None):
        if learner is None:
            return self
        try:
            return vars(learner)[self.name]
        except KeyError:
            raise AttributeError(self.name) from None

    def __set__(self, learner, value):
        if self.check:
            value = self.check(learner, self.name, value)
        vars(learner)[self.name] = value
        for step in ("train", "test", "predict"):
            if getattr(learner, f"{step}_function", None) is not None:
                getattr(learner, f"make_{step}_function")(force=True)


class Part(Argument):
    """An attribute that is set once: what a learner is made of."""

    def __set__(self, learner, value):
        if self.name in vars(learner):
            raise ValueError(
                f"{type(learner).__name__}: {self.name} cannot be replaced, the learner is built "
                "around it; make a new learner."
            )
        vars(learner)[self.name] = self.check(learner, self.name, value) if self.check else value


def positive_integer(optional=False):
    """A check for positive integers, and None if it is optional."""

    def check(learner, name, value):
        if value is None and optional:
            return None
        # NumPy's integers have it as well, and are not subclasses of int.
        if not hasattr(value, "__index__") or isinstance(value, bool) or value < 1:
            raise ValueError(
                f"{type(learner).__name__}: {name} must be a positive integer, got {value!r}."
            )
        return int(value)

    return check


def positive(learner, name, value):
    """A check for positive numbers."""
    if not value > 0:
        raise ValueError(f"{type(learner).__name__}: {name} must be positive, got {value!r}.")
    return float(value)


def one_of(choices):
    """A check for one of some texts."""

    def check(learner, name, value):
        if value not in choices:
            raise ValueError(
                f"{type(learner).__name__}: {name} must be one of {choices}, got {value!r}."
            )
        return value

    return check


def boolean(learner, name, value):
    """A check for True and False."""
    if value not in (True, False):
        raise ValueError(f"{type(learner).__name__}: {name} must be True or False, got {value!r}.")
    return bool(value)
