"""Optimizers side by side on many tasks."""

import numpy as np

from meta_keras.metrics import mean_and_ci95
from meta_keras.plots.figures import new_figure, plain

LIMITS = 0.2, 5.0  # of the panels


def suite_figure(rows, reference="Adam"):
    """Training losses over those of one optimizer: a panel for every number of steps.

    Args:
        rows: list of dicts with `task`, `optimizer`, `steps` and `training_loss`, a list.
        reference: the optimizer whose mean loss is 1.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    optimizers = list(dict.fromkeys(row["optimizer"] for row in rows))
    all_steps = sorted({row["steps"] for row in rows})
    table = {(row["task"], row["optimizer"], row["steps"]): row for row in rows}
    figure = new_figure(
        figsize=(3.2 * len(all_steps) + 3, 0.42 * len(tasks) + 2), layout="constrained"
    )
    panels = figure.subplots(1, len(all_steps), sharey=True, squeeze=False)[0]
    height = -np.arange(len(tasks), dtype=float)
    for axes, steps in zip(panels, all_steps, strict=True):
        for number, name in enumerate(optimizers):
            losses = [table[task, name, steps]["training_loss"] for task in tasks]
            ones = [np.mean(table[task, reference, steps]["training_loss"]) for task in tasks]
            mean, ci95 = np.transpose([mean_and_ci95(loss) for loss in losses])
            shift = 0.3 - 0.6 * number / max(1, len(optimizers) - 1)
            place, size = height + shift, 6 if name.startswith("learned") else 4
            axes.errorbar(
                mean / ones,
                place,
                xerr=ci95 / ones,
                fmt="o",
                markersize=size,
                linewidth=1,
                color=f"C{number}",
                label=plain(name) if steps == all_steps[0] else None,
            )
            # What lies beyond the panel shows at its edge as an arrow.
            for beyond, edge, marker in (
                (mean / ones < LIMITS[0], 1.05 * LIMITS[0], "<"),
                (~(mean / ones <= LIMITS[1]), LIMITS[1] / 1.05, ">"),
            ):
                edges = np.full(beyond.sum(), edge)
                axes.plot(edges, place[beyond], marker, color=f"C{number}", markersize=size + 1)
        axes.axvline(1, color="grey", linewidth=0.8)
        axes.set(xscale="log", title=f"{steps:,} steps", xlim=LIMITS)
        axes.set_xticks([0.25, 0.5, 1, 2, 4], ["1/4", "1/2", "1", "2", "4"], minor=False)
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(height, [plain(task) for task in tasks])
    figure.supxlabel(f"training loss over that of {plain(reference)} with its best rate")
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    return figure
