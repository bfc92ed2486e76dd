"""What is told of a learned optimizer beside its baselines: tables and cards."""

from meta_keras.training.tables import print_table
from meta_keras.training.terminal import say


def print_losses(table, columns, tuned_for):
    """Prints the losses of every optimizer.

    Args:
        table: as `baselines.curve_table` gives it.
        columns: after how many steps.
        tuned_for: the steps for whose loss the rates are tuned.
    """
    columns = sorted(set(columns))
    head = ["optimizer", "rate", *(f"loss after {steps} steps" for steps in columns)]
    rows = [
        [
            name,
            str(row["learning_rate"] or ""),
            *(f"{row['curve'][n]:.5g} +- {row['curve_ci95'][n]:.2g}" for n in columns),
        ]
        for name, row in table.items()
    ]
    say("")
    print_table(head, rows)
    if max(columns) > tuned_for:
        say(f"All rates are tuned for the loss after {tuned_for} steps.")


def print_transfer(description, result):
    """Prints how the learned optimizer does on what it was not trained on.

    Args:
        description: the problem in words.
        result: as `baselines.compare_on` gives it.
    """
    say(f"\nNot trained for: {description}; the learned optimizer is {result['verdict']}.")
    print_losses(result["optimizers"], [result["steps"]], result["steps"])


def card_of(results, settings):
    """What a preset's card keeps of a run's results: no curves, and the settings that decide."""
    names = ("method", "problem", "steps", "runs", "train_updates", "train_optimizations", "seed")
    figures = ("learning_rate", "final_loss_mean", "final_loss_ci95")
    return {
        **{name: results[name] for name in (*names, "versions")},
        "optimizers": {
            name: {figure: row[figure] for figure in figures}
            for name, row in results["optimizers"].items()
        },
        "flags": settings,
    }
