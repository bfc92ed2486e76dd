"""Published accuracies, and whether a run may be compared with them."""

from typing import NamedTuple

from meta_keras.data.photograph_sets import PUBLISHED_SETS

TITLES = {"omniglot": "Omniglot"} | {name: s.title for name, s in PUBLISHED_SETS.items()}


class Published(NamedTuple):
    """What a paper reports of a method on a data set.

    Attributes:
        source: where the figures stand.
        dataset: the data set; Omniglot with classes rotated by 90, 180, 270 degrees.
        split: the split the figures belong to.
        batch_norm: its mode at test; None where the source does not say.
        figures: dict from (N, K) to `(accuracy, half width of its interval or None)` in percent.
        remark: how the protocol still differs from that of the recipe.
        settings: dict from a setting of the recipe to the value that the figures are for.
    """

    source: str
    dataset: str
    split: str
    batch_norm: str | None
    figures: dict
    remark: str = ""
    settings: dict = {}  # noqa: RUF012


def _pairs(figures):
    return [figure if isinstance(figure, tuple) else (figure, None) for figure in figures]


def omniglot(source, split, batch_norm, *figures, remark=""):
    """The four columns of every paper's table: 5-way 1- and 5-shot, 20-way 1- and 5-shot."""
    columns = dict(zip([(5, 1), (5, 5), (20, 1), (20, 5)], _pairs(figures), strict=True))
    return Published(source, "omniglot", split, batch_norm, columns, remark)


def photographs(dataset, source, *figures, remark="", batch_norm=None, **settings):
    """Both columns of a paper's table on its own lists of classes: 5-way 1- and 5-shot.

    A column that the paper does not have is None. `settings` are those of the recipe that the
    figures are for, beside what all papers did.
    """
    every = {"anil": False, "architecture": "conv4", "image_size": PUBLISHED_SETS[dataset].size}
    columns = dict(zip([(5, 1), (5, 5)], _pairs(figures), strict=True))
    columns = {task: figure for task, figure in columns.items() if figure[0] is not None}
    return Published(source, dataset, "published", batch_norm, columns, remark, every | settings)


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
    dataset = results["dataset"]
    if not results["kshot"]:
        return None, "zero-shot: no figure on Omniglot was published"
    published_on = dict.fromkeys(entry.dataset for entry in entries)
    entries = [entry for entry in entries if entry.dataset == dataset]
    if not entries and dataset != "omniglot" and published_on:
        names = ", ".join(TITLES[name] for name in published_on)
        return None, f"published on {names}, not on {dataset}"
    if not entries:
        return None, f"no figure on {TITLES.get(dataset, dataset)} was published"
    with_task = [entry for entry in entries if task in entry.figures]
    if not with_task:
        return None, f"no {task[0]}-way {task[1]}-shot figure in {entries[0].source}"
    reasons = []
    for entry in with_task:
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
    if entry.dataset == "omniglot" and not results.get("rotations", True):
        return "with rotated classes"
    if entry.batch_norm not in (None, results["batch_norm"]):
        return f"with {entry.batch_norm} batch normalisation"
    flags = results.get("flags", {})
    for name, value in entry.settings.items():
        if flags.get(name) not in (None, value):
            return f"with {name}={value}"
    return None


def percent(accuracy, ci95):
    """`98.7 +- 0.4`, or without the interval where there is none."""
    return f"{accuracy:g}" + (f" +- {ci95:g}" if ci95 is not None else "")
