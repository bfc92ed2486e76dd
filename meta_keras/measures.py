"""What losses and metrics take of outputs and targets, as far as they are Keras' own."""

import contextlib

import keras

# Keras' metrics that take class numbers or that take what is given to them.
_TAKE_EITHER = (keras.metrics.IoU, keras.metrics.Mean, keras.metrics.Sum)
# Keras' losses and metrics that take probabilities, and nothing else by an argument.
_TAKE_PROBABILITIES = (
    "binaryaccuracy", "binaryiou", "categoricalgeneralizedcrossentropy", "dice", "f1score",
    "falsenegatives", "falsepositives", "fbetascore", "kldivergence", "poisson", "precision",
    "precisionatrecall", "recall", "recallatprecision", "sensitivityatspecificity",
    "specificityatsensitivity", "truenegatives", "truepositives", "tversky",
)  # fmt: skip
# Names of which `compile` makes the metric for the targets there are.
_MADE_FOR_TARGETS = ("accuracy", "acc", "crossentropy", "ce")


def check_loss(name, loss, from_logits=True):
    """`check_measure` of a loss as `compile` takes it."""
    check_measure(name, "loss", resolved_loss(loss), from_logits)


def check_measure(name, role, measure, from_logits=True):
    """Refuses a loss or metric that takes the learner's outputs for something else than they are.

    Args:
        name: of the learner, for messages.
        role: `"loss"` or `"metric"`.
        measure: as from `resolved_loss` or `resolved_metrics`.
        from_logits: whether the learner's outputs are logits; None: neither they nor
            probabilities.

    Raises:
        ValueError: it does.
    """
    takes_logits = None if from_logits is None else takes_of_outputs(measure)
    if takes_logits in (None, from_logits):
        return
    outputs, other = ("logits", "probabilities")[:: 1 if from_logits else -1]
    kind = "".join(part.capitalize() for part in name_of(measure).split("_"))
    instead = f"keras.{'losses' if role == 'loss' else 'metrics'}.{kind}(from_logits={from_logits})"
    if _plain_name(measure) in _TAKE_PROBABILITIES:
        instead = "one that takes logits"
    raise ValueError(
        f"{name}: {role}={name_of(measure)!r} takes {other}, and the outputs are {outputs}; use "
        f"{instead}."
    )


def takes_of_outputs(measure):
    """True for what takes logits, False for probabilities, None for what tells not or takes any.

    Args:
        measure: a loss or metric, an object or a function.
    """
    own = is_of_keras(type(measure)) or is_of_keras(measure)
    if own and _plain_name(measure) in _TAKE_PROBABILITIES:
        # With another threshold, or of the largest few, it may be meant for logits.
        by_order = getattr(measure, "top_k", None) is not None
        return None if by_order or getattr(measure, "threshold", 0.5) != 0.5 else False
    if isinstance(measure, (keras.losses.Loss, keras.metrics.Metric)):
        with contextlib.suppress(NotImplementedError):
            takes_logits = measure.get_config().get("from_logits")
            return None if takes_logits is None else bool(takes_logits)
    elif own and "crossentropy" in measure.__name__:
        return False
    return None


def _plain_name(measure):
    kind = measure if hasattr(measure, "__name__") else type(measure)
    return kind.__name__.replace("_", "").lower()


def compares_with(measure):
    """What a loss or metric compares outputs `[..., N]` with.

    Args:
        measure: as from `resolved_loss` or `resolved_metric`.

    Returns:
        `"labels"`, class numbers `[...]`; `"values"` `[..., N]`; or None where it is not Keras'
        own, or takes either.
    """
    kind = measure
    if isinstance(measure, (keras.losses.Loss, keras.metrics.Metric)):
        kind = type(measure)
        if kind in _TAKE_EITHER or issubclass(kind, keras.metrics.IoU):
            return None
        # What it does stands in the function it is made of, which is not looked into.
        if kind is keras.metrics.MeanMetricWrapper:
            return None
    if not is_of_keras(kind):
        return None
    return "labels" if kind.__name__.lower().startswith("sparse") else "values"


def resolved_loss(loss):
    """A loss as `compile` takes it, as an object or a function; None where it is none or many."""
    if isinstance(loss, (list, tuple)) and len(loss) == 1:
        loss = loss[0]
    if loss is None or isinstance(loss, (list, tuple, dict)):
        return None
    return keras.losses.get(loss)


def resolved_metrics(metrics):
    """Metrics as `compile` takes them, in a list of objects and functions.

    Those that Keras makes for the targets there are, such as `"accuracy"`, are left out.
    """
    if metrics is None:
        return []
    if isinstance(metrics, dict):
        metrics = list(metrics.values())
    if isinstance(metrics, (list, tuple)):
        return [one for part in metrics for one in resolved_metrics(part)]
    if isinstance(metrics, str):
        return [] if metrics in _MADE_FOR_TARGETS else [keras.metrics.get(metrics)]
    return [metrics]


def name_of(measure):
    """A loss or metric in a message."""
    return getattr(measure, "name", None) or getattr(measure, "__name__", None) or str(measure)


def is_of_keras(thing):
    """Whether a function or a class is Keras' own."""
    return (getattr(thing, "__module__", None) or "").split(".")[0] == "keras"
