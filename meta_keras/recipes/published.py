"""Published accuracies on Omniglot, and whether a run may be compared with them."""

from typing import NamedTuple


class Published(NamedTuple):
    """What a paper reports of a method on Omniglot, with classes rotated by 90, 180, 270 degrees.

    Attributes:
        source: where the figures stand.
        split: the split the figures belong to.
        batch_norm: its mode at test; None where the source does not say.
        figures: dict from (N, K) to `(accuracy, half width of its interval or None)` in percent.
        remark: how the protocol still differs from that of the recipe.
    """

    source: str
    split: str
    batch_norm: str | None
    figures: dict
    remark: str = ""


def omniglot(source, split, batch_norm, *figures, remark=""):
    """The four columns of every paper's table: 5-way 1- and 5-shot, 20-way 1- and 5-shot."""
    pairs = [figure if isinstance(figure, tuple) else (figure, None) for figure in figures]
    columns = dict(zip([(5, 1), (5, 5), (20, 1), (20, 5)], pairs, strict=True))
    return Published(source, split, batch_norm, columns, remark)


def compare(results, entries):
    """The published figure a run may be compared with.

    Args:
        results: content of a `results.json` of few-shot or zero-shot learning.
        entries: the `published` of its recipe.

    Returns:
        `(figure, remark)`: the figure `(accuracy, half width or None)` in percent, and its source;
        or None and why there is none.
    """
    task = results["nway"], results["kshot"]
    if not results["kshot"]:
        return None, "zero-shot: no figure on Omniglot was published"
    if not entries:
        return None, "no figure on Omniglot was published"
    if results["dataset"] != "omniglot":
        return None, f"published on Omniglot, not on {results['dataset']}"
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
