"""The problems of `experiments.learn_to_optimize`: their flags, their defaults, their data."""

from typing import NamedTuple

from absl import flags

from experiments import program
from meta_keras import data, problems

FLAGS = flags.FLAGS

flags.DEFINE_enum(
    "problem",
    "quadratic",
    ["quadratic", "mnist", "omniglot", "glyphs"],
    "What is optimized: quadratics; a network with 20 sigmoid units on MNIST; a convolutional "
    "network that learns 20 characters, new ones every time, of Omniglot or the built-in glyphs.",
)
flags.DEFINE_enum(
    "variant",
    "gaussian",
    ["gaussian", "uniform"],
    "Coefficients of the quadratics: N(0, 1) as in the paper, or U[0, 1) as in its code.",
)
flags.DEFINE_string("data_dir", None, "TFDS folder; TFDS' own default if not given.")
flags.DEFINE_string("manual_dir", None, "Folder with Omniglot's official zip files.")

CHARACTERS = {"preprocessing": "combined", "output_scale": 0.01, "optimizations": 400}
CHARACTERS |= {"validation_interval": 50, "validation_runs": 10, "test_runs": 20}
# Other defaults than the flags', chosen by experiment.
DEFAULTS = {
    "quadratic": {"preprocessing": "rnnprop", "output_scale": 0.1, "optimizations": 3000},
    "mnist": {
        "preprocessing": "combined",
        "output_scale": 0.03,
        "gradient_rate": 0.1,
        "second_order": True,
        "loss_weights": "linear",
        "optimizations": 400,
        "validation_interval": 50,
    },
    "omniglot": CHARACTERS,
    "glyphs": CHARACTERS,
}


class Problems(NamedTuple):
    """The optimizees of each purpose; the same one where only seeds tell them apart."""

    train: problems.Problem
    validation: problems.Problem
    test: problems.Problem


def set_defaults():
    """The defaults of the chosen problem, for flags not given on the command line."""
    for name, value in DEFAULTS[FLAGS.problem].items():
        if not FLAGS[name].present:
            FLAGS.set_default(name, value)


def load():
    """The `Problems` that the flags name.

    Raises:
        DatasetError: the data cannot be had.
        UsageError: a flag does not fit the problem.
    """
    for name, fits in (
        ("variant", ["quadratic"]),
        ("data_dir", ["mnist", "omniglot", "glyphs"]),
        ("manual_dir", ["omniglot"]),
    ):
        if FLAGS[name].present and FLAGS.problem not in fits:
            raise program.UsageError(
                f"--{name}={FLAGS[name].value} does not go with --problem={FLAGS.problem}, only "
                f"with {', '.join(fits)}."
            )
    if FLAGS.problem == "quadratic":
        return Problems(*[problems.Quadratic(FLAGS.variant)] * 3)
    if FLAGS.problem == "mnist":
        return Problems(*[problems.mnist_mlp(FLAGS.data_dir)] * 3)
    characters = data.load_characters(FLAGS.problem, FLAGS.data_dir, FLAGS.manual_dir)
    classes = data.split_classes(characters, "random", rotations=False)
    return Problems(
        *(
            problems.CharacterClassification(data.gather_classes(characters, part))
            for part in classes.values()
        )
    )
