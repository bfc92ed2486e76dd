"""A learned optimizer against hand-made ones whose rates are tuned on the same problem."""

from absl import flags

from meta_keras import optimizers, problems

FLAGS = flags.FLAGS

flags.DEFINE_integer("validation_runs", 20, "Optimizations of a validation.", lower_bound=2)
flags.DEFINE_integer("test_runs", 100, "Fresh optimizations of the test.", lower_bound=2)
flags.DEFINE_integer(
    "test_steps", 200, "Steps shown of a test optimization, at least --steps.", lower_bound=1
)
flags.DEFINE_bool(
    "generalize",
    False,
    "Also test on what the optimizer was not trained on (mnist): 200 and 1,000 steps, 40 hidden "
    "units, two hidden layers, ReLU.",
)
flags.DEFINE_integer(
    "generalize_runs", 20, "Optimizations of each test of --generalize.", lower_bound=2
)


def print_table(table, shown_steps, steps):
    """The losses after each of `steps`, for the last of which rates are tuned, and at the end."""
    columns = sorted({*steps, shown_steps})
    heads = "".join(f"{f'loss after {step} steps':>26}" for step in columns)
    print(f"\n{'optimizer':<10}{'rate':>8}{heads}")
    for name, row in table.items():
        cells = "".join(
            f"{row['curve'][step]:>16.5g} +- {row['curve_ci95'][step]:<6.2g}" for step in columns
        )
        print(f"{name:<10}{row['learning_rate'] or '':>8}{cells}", flush=True)
    if shown_steps > max(steps):
        print(f"All rates are tuned for the loss after {max(steps)} steps.", flush=True)


def generalization(learned):
    """The comparison on the transfer set, printed as it goes on."""
    results = {}
    for description, (problem, steps) in problems.mnist_transfer_set(FLAGS.data_dir).items():
        results[description] = optimizers.compare_on(
            learned, problem, steps, FLAGS.validation_runs, FLAGS.generalize_runs
        )
        verdict = results[description]["verdict"]
        print(f"\nNot trained for: {description}; the learned optimizer is {verdict}.", end="")
        print_table(results[description]["optimizers"], steps, [steps])
    return results
