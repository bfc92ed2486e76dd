"""Zero-shot classification: classes never seen, known by a description alone.

    python -m experiments.zero_shot --nway=5

Trains a prototypical network with class descriptors (Snell et al. 2017, section 2.7) and tests it
on characters of alphabets it has never seen: told how a character is written, it recognises
drawings of it. Chance is 1 / N. The same command again continues an interrupted run, and
re-evaluates a finished one.
"""

import functools
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow leaves oneDNN off on processors without AVX-512 VNNI; convolutions gain there too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
from absl import flags

from experiments import files, program, training
from meta_keras import callbacks, metrics, networks
from meta_keras import plots as pictures
from meta_keras.data.descriptors import POINTS, load_described, zero_shot_episodes
from meta_keras.learners import ZeroShotPrototypicalNetwork

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(program)

flags.DEFINE_enum(
    "dataset",
    "glyphs",
    ["glyphs", "omniglot_strokes"],
    "glyphs: built in, described by the character's stroke program. omniglot_strokes: Omniglot, "
    "described by the pen trajectory of one drawer; the drawings of others are classified.",
)
flags.DEFINE_string("data_dir", None, "TFDS folder; TFDS' own default if not given.")
flags.DEFINE_string(
    "manual_dir",
    None,
    "Folder with Omniglot's official strokes_background zip files, and with those of the pictures, "
    "images_background.zip and the others, if they are not to be downloaded.",
)
flags.DEFINE_string("strokes_dir", None, "TFDS folder of the trajectories; --data_dir by default.")
flags.DEFINE_bool("rotations", True, "Rotations of training characters are further classes.")
flags.DEFINE_integer("nway", 5, "N, classes of an episode in validation and test.", lower_bound=2)
flags.DEFINE_integer("train_nway", 20, "Classes of a training episode.", lower_bound=2)
flags.DEFINE_integer("nquery", 5, "Q, query pictures a class in training.", lower_bound=1)
flags.DEFINE_integer(
    "test_nquery", 15, "Query pictures a class in validation and test.", lower_bound=1
)
flags.DEFINE_integer("filters", 32, "Filters of the picture network.", lower_bound=1)
flags.DEFINE_integer("units", 64, "D, size of an embedding.", lower_bound=1)
flags.DEFINE_integer("episodes", 4000, "Training episodes.", lower_bound=1)
flags.DEFINE_integer("meta_batch", 1, "Episodes an update.", lower_bound=1)
flags.DEFINE_float("learning_rate", 2e-3, "Adam's first rate; cosine decay to 0.", lower_bound=0.0)
flags.DEFINE_integer("validation_interval", 500, "Episodes between validations.", lower_bound=1)
flags.DEFINE_integer("validation_episodes", 100, "Episodes of a validation.", lower_bound=2)
flags.DEFINE_integer("test_episodes", 600, "Test episodes.", lower_bound=2)

flags.register_multi_flags_validator(
    ["episodes", "meta_batch", "validation_interval"],
    lambda f: (
        f["episodes"] % min(f["validation_interval"], f["episodes"]) == 0
        and min(f["validation_interval"], f["episodes"]) % f["meta_batch"] == 0
    ),
    "--episodes must be a multiple of --validation_interval (or below it), and that a multiple of "
    "--meta_batch",
)
flags.register_multi_flags_validator(
    ["nquery", "test_nquery"],
    lambda f: max(f["nquery"], f["test_nquery"]) < 20,
    "--nquery and --test_nquery must be at most 19: one drawer of 20 describes the class",
)
flags.register_validator("learning_rate", lambda v: v > 0, "--learning_rate must be positive")

# They say where things lie or what to do now, and do not decide the run's result.
NOT_SETTINGS = {
    "data_dir", "manual_dir", "strokes_dir", "logdir", "eval_only", "resume", "test_episodes"
}  # fmt: skip
STREAMS = {"train": 0, "validation": 1, "test": 2}


def load_data():
    """`DescribedClasses` of every split.

    Raises:
        DatasetError: the data cannot be had.
        UsageError: a split has fewer classes than an episode.
    """
    described = load_described(
        FLAGS.dataset, FLAGS.data_dir, FLAGS.manual_dir, FLAGS.strokes_dir, FLAGS.rotations
    )
    for part, classes in described.items():
        flag = "train_nway" if part == "train" else "nway"
        if FLAGS[flag].value > len(classes.drawings):
            raise program.UsageError(
                f"--{flag}={FLAGS[flag].value} is more than the {len(classes.drawings)} classes of "
                f"the {part} part of {FLAGS.dataset}."
            )
    return described


def make_episodes(described, part, count, start=0, meta_batch=1):
    """The stream of a split: training episodes run on, validation and test are always the same."""
    train = part == "train"
    return zero_shot_episodes(
        described[part],
        FLAGS.train_nway if train else FLAGS.nway,
        FLAGS.nquery if train else FLAGS.test_nquery,
        seed=FLAGS.seed * len(STREAMS) + STREAMS[part],
        count=count,
        start=start,
        meta_batch=meta_batch,
    )


def new_learner(updates):
    """A compiled learner as the flags say, for a run of so many updates."""
    learner = ZeroShotPrototypicalNetwork(
        networks.conv4(FLAGS.units, filters=FLAGS.filters, momentum=0.9),
        networks.trajectory_network(FLAGS.units, POINTS),
    )
    learner.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(FLAGS.learning_rate, updates)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return learner


def main():
    training.set_up_runtime(FLAGS.seed, FLAGS.meta_batch)
    logdir = pathlib.Path(FLAGS.logdir or f"runs/zero_shot-{FLAGS.dataset}-{FLAGS.nway}way")
    if FLAGS.eval_only and not program.saved_settings(logdir):
        raise program.UsageError(f"--eval_only: there is no trained learner in {logdir}.")
    described = load_data()
    values = program.module_flags(__name__)
    settings = {name: value for name, value in values.items() if name not in NOT_SETTINGS}
    folder = program.open_logdir(logdir, settings, FLAGS.resume)
    interval = min(FLAGS.validation_interval, FLAGS.episodes)
    print(f"{FLAGS.nway}-way zero-shot on {FLAGS.dataset}; run folder {folder}")
    if FLAGS.eval_only:
        checkpoint, _ = callbacks.Checkpoint.resume(folder / "checkpoints")
        learner, state = checkpoint.load_best(), checkpoint.state
    else:
        learner, state = training.train(
            folder,
            new_learner,
            functools.partial(make_episodes, described),
            epochs=FLAGS.episodes // interval,
            interval=interval,
            meta_batch=FLAGS.meta_batch,
            validation_episodes=FLAGS.validation_episodes,
            write_settings=lambda folder: training.write_settings_summary(
                folder, values, NOT_SETTINGS
            ),
            picture=pictures.described_episode_picture,
        )
    print(f"Testing on {FLAGS.test_episodes} episodes of alphabets never seen in training ...")
    accuracy, ci95 = metrics.mean_and_ci95(
        metrics.evaluate_episodes(learner, make_episodes(described, "test", FLAGS.test_episodes))
    )
    print(
        f"Test accuracy {accuracy:.2%} +- {ci95:.2%} (95 % interval over {FLAGS.test_episodes} "
        f"episodes; chance is {1 / FLAGS.nway:.0%})."
    )
    picture = pictures.described_episode_picture(
        learner, next(iter(make_episodes(described, "test", 1)))
    )
    training.write_test_summary(folder, state["epoch"] * interval, accuracy, picture)
    files.write_json(
        folder / "results.json",
        {
            "experiment": "zero_shot",
            "method": "prototypical",
            "dataset": FLAGS.dataset,
            "split": "alphabets",
            "kshot": 0,
            "batch_norm": "inductive",
            **training.test_results(state, interval, accuracy, ci95, values),
        },
    )
    print(f"Results: {folder / 'results.json'}; a test episode: {folder / 'episode.png'}")


if __name__ == "__main__":
    program.run(main)
