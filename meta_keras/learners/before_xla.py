"""A look at labels before a step: XLA drops the assertions within what it compiles."""

import tensorflow as tf


def checked(learner, x, y=None):
    """Data as `fit` and the like take them, looked at now or, a data set, as they come.

    Args:
        learner: a `Learner`. Unless its steps are compiled with XLA, they look for themselves.
        x, y: arrays, or a data set and None.

    Returns:
        What the steps are given in the place of `x`; a data set checks its elements. N of a learner
        that reads it from the labels is then in a shape, which is all that XLA sees: see `for_xla`.

    Raises:
        ValueError: they are not as the learner says, or come in a form that can only be looked at
            in the step.
    """
    if not learner.jit_compile:
        return x
    if isinstance(x, tf.data.Dataset):
        return x.map(lambda *parts: _checked_element(learner, parts))
    if not isinstance(x, dict) and not hasattr(x, "shape"):
        raise ValueError(
            f"{type(learner).__name__}: with jit_compile=True labels are looked at before a step, "
            f"in arrays or in a tf.data.Dataset, not in a {type(x).__name__}; "
            "tf.data.Dataset.from_generator makes a data set of a generator."
        )
    learner.checked_inputs(x)
    if y is not None:
        learner.checked_batch((x, y))
    return learner.for_xla(x)


def checked_validation(learner, data):
    """`validation_data`: a data set, or a tuple of arrays, likewise."""
    if isinstance(data, (tuple, list)):
        x, y, *weights = data
        return checked(learner, x, y), y, *weights
    return checked(learner, data)


def _checked_element(learner, parts):
    x, *others = parts
    x = learner.checked_inputs(x)
    if others:
        x, *_ = learner.checked_batch((x, others[0]))
    x = learner.for_xla(x)
    return (x, *others) if others else x
