"""Accuracies of several runs beside published ones."""

from meta_keras.plots.figures import new_figure, plain


def comparison_figure(runs):
    """Accuracy and 95 % interval of every run, published figures beside them.

    Args:
        runs: list of dicts, from the top down: `name`, which may have several lines; `accuracy`
            and `ci95`, the half width of its interval; `published` and `published_ci95`, None
            where there is none. Numbers are in percent.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    figure = new_figure(figsize=(8, 1.4 + 0.42 * len(runs)), layout="constrained")
    axes = figure.subplots()
    measured = {"fmt": "o", "color": "C0", "capsize": 3}
    published = {"fmt": "D", "color": "C1", "mfc": "white", "capsize": 3}
    for height, run in enumerate(runs):
        axes.errorbar(run["accuracy"], height, xerr=run["ci95"], **measured)
        if run["published"] is not None:
            axes.errorbar(run["published"], height + 0.25, xerr=run["published_ci95"], **published)
    # For the legend, whichever run comes first.
    axes.errorbar([], [], xerr=[], label="measured", **measured)
    axes.errorbar([], [], xerr=[], label="published", **published)
    names = ["\n".join(map(plain, run["name"].split("\n"))) for run in runs]
    axes.set_yticks(range(len(runs)), names, fontsize=8)
    axes.set_ylim(len(runs) - 0.4, -0.6)
    axes.set_xlabel("test accuracy, %, with 95 % interval")
    axes.grid(axis="x", linewidth=0.4)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, fontsize=8, frameon=False)
    return figure
