"""Published accuracies on Omniglot, and whether a run may be compared with them."""

from typing import NamedTuple


class Published(NamedTuple):
    """What a paper reports of a method on Omniglot, with classes rotated by 90, 180, 270 degrees.

    Attributes:
        source: where the figures stand.
        split: that of `experiments.few_shot` the figures belong to.
        batch_norm: its mode at test; None where the source does not say.
        figures: dict from (N, K) to `(accuracy, half width of its interval or None)` in percent.
        remark: how the protocol still differs from that of `experiments.few_shot`.
    """

    source: str
    split: str
    batch_norm: str | None
    figures: dict
    remark: str = ""


def _table(*figures):
    """The four columns of every paper's table."""
    pairs = [figure if isinstance(figure, tuple) else (figure, None) for figure in figures]
    return dict(zip([(5, 1), (5, 5), (20, 1), (20, 5)], pairs, strict=True))


QUOTED = "quoted by Finn et al. 2017"
NO_VALIDATION = "1,200 training characters, no validation"
# `lstm` is missing: Ravi & Larochelle report no figure on Omniglot.
PUBLISHED = {
    "siamese": [
        Published("Koch et al. 2015", "random", None, _table(97.3, 98.4, 88.2, 97.0), QUOTED)
    ],
    "matching": [
        Published("Vinyals et al. 2016", "random", None, _table(98.1, 98.9, 93.8, 98.5), QUOTED)
    ],
    "maml": [
        Published(
            "Finn et al. 2017",
            "random",
            "transductive",
            _table((98.7, 0.4), (99.9, 0.1), (95.8, 0.3), (98.9, 0.2)),
        )
    ],
    "fomaml": [
        Published(
            "quoted by Nichol et al. 2018",
            "random",
            "transductive",
            _table((98.3, 0.5), (99.2, 0.2), (89.4, 0.5), (97.9, 0.1)),
        )
    ],
    "meta_sgd": [
        Published(
            "Li et al. 2017",
            "random",
            "transductive",
            _table((99.53, 0.26), (99.93, 0.09), (95.93, 0.38), (98.97, 0.19)),
        )
    ],
    "reptile": [
        Published(
            "Nichol et al. 2018",
            "random",
            "transductive",
            _table(97.68, 99.48, 89.43, 97.12),
            NO_VALIDATION,
        ),
        Published(
            "Nichol et al. 2018",
            "random",
            "inductive",
            _table(95.39, 98.90, 88.14, 96.65),
            NO_VALIDATION,
        ),
    ],
    "prototypical": [
        Published("Snell et al. 2017", "vinyals", None, _table(98.8, 99.7, 96.0, 98.9))
    ],
    "relation": [
        Published(
            "Sung et al. 2018",
            "random",
            None,
            _table((99.6, 0.2), (99.8, 0.1), (97.6, 0.2), (99.1, 0.1)),
            NO_VALIDATION,
        )
    ],
}


def compare(results):
    """The published figure a run may be compared with.

    Args:
        results: content of a `results.json` of `experiments.few_shot` or `zero_shot`.

    Returns:
        `(figure, remark)`: the figure `(accuracy, half width or None)` in percent, and its source;
        or None and why there is none.
    """
    method, task = results["method"], (results["nway"], results["kshot"])
    if not results["kshot"]:
        return None, "zero-shot: no figure on Omniglot was published"
    if method not in PUBLISHED:
        return None, "no figure on Omniglot was published"
    if results["dataset"] != "omniglot":
        return None, f"published on Omniglot, not on {results['dataset']}"
    entries = PUBLISHED[method]
    if task not in entries[0].figures:
        return None, f"no {task[0]}-way {task[1]}-shot figure in {entries[0].source}"
    reasons = []
    for entry in entries:
        figure = entry.figures[task]
        reason = _difference(entry, results)
        if reason is None:
            return figure, "; ".join(filter(None, [entry.source, entry.remark]))
        reasons.append(f"not comparable: {entry.source} has {percent(*figure)} {reason}")
    return None, reasons[0]


def _difference(entry, results):
    """How a run's protocol differs from a published one, or None."""
    if entry.split != results["split"]:
        return f"on the split {entry.split}"
    if not results.get("rotations", True):
        return "with rotated classes"
    if entry.batch_norm not in (None, results["batch_norm"]):
        return f"with {entry.batch_norm} batch normalisation"
    return None


def percent(accuracy, ci95):
    """`98.7 +- 0.4`, or without the interval where there is none."""
    return f"{accuracy:g}" + (f" +- {ci95:g}" if ci95 is not None else "")
