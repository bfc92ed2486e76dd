"""Few-shot classification: trains a meta-learner on episodes and tests it on unseen classes.

    python -m experiments.few_shot --nway=5 --kshot=1

The same command again continues an interrupted run, and re-evaluates a finished one.
"""

import contextlib
import functools
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow leaves oneDNN off on processors without AVX-512 VNNI; convolutions gain there too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import tensorflow as tf
from absl import flags

from experiments import few_shot_data, few_shot_learner, files, program, training
from experiments.few_shot_data import make_episodes
from experiments.few_shot_methods import METHODS
from meta_keras import callbacks, metrics
from meta_keras import plots as pictures
from meta_keras.learners import MetricLearner

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(program)
flags.adopt_module_key_flags(few_shot_data)
flags.adopt_module_key_flags(few_shot_learner)

flags.DEFINE_integer("episodes", 22000, "Training episodes.", lower_bound=1)
flags.DEFINE_integer("meta_batch", 2, "Episodes an update.", lower_bound=1)
flags.DEFINE_float(
    "learning_rate", 2e-3, "--meta_optimizer's first rate; cosine decay to 0.", lower_bound=0.0
)
flags.DEFINE_enum(
    "meta_optimizer",
    "adam",
    ["adam", "sgd"],
    "Follows the meta-gradient. Reptile's own update is sgd with --learning_rate=epsilon.",
)
flags.DEFINE_bool("decay", True, "Cosine decay of the learning rate to 0 over the run.")
flags.DEFINE_float("clip_norm", 10.0, "Global norm of the meta-gradient at most.", lower_bound=0.0)
flags.DEFINE_bool("jit_compile", False, "Compile the whole training step with XLA.")
flags.DEFINE_enum(
    "strategy", "none", ["none", "mirrored"], "tf.distribute strategy (mirrored: all GPUs)."
)
flags.DEFINE_integer("validation_interval", 2000, "Episodes between validations.", lower_bound=1)
flags.DEFINE_integer("validation_episodes", 100, "Episodes of a validation.", lower_bound=2)
flags.DEFINE_integer("test_episodes", 600, "Test episodes.", lower_bound=2)

flags.register_validator("learning_rate", lambda v: v > 0, "--learning_rate must be positive")
flags.register_validator("clip_norm", lambda v: v is None or v > 0, "--clip_norm must be positive")

# They say where things lie or what to do now, and do not decide the run's result.
NOT_SETTINGS = {
    "data_dir", "manual_dir", "logdir", "eval_only", "resume", "test_episodes"
}  # fmt: skip


def check_flags():
    """Refuses flags that do not fit together; what a method's defaults decide is decided by now.

    Raises:
        UsageError: they do not.
    """
    interval = epoch_episodes()
    if FLAGS.episodes % interval or interval % FLAGS.meta_batch:
        raise program.UsageError(
            f"--episodes={FLAGS.episodes} must be a multiple of --validation_interval="
            f"{FLAGS.validation_interval} (or below it), and that a multiple of --meta_batch="
            f"{FLAGS.meta_batch}."
        )
    if FLAGS.jit_compile and issubclass(METHODS[FLAGS.method].learner, MetricLearner):
        raise program.UsageError(
            f"--jit_compile does not apply to --method={FLAGS.method}: it reads the number of "
            "classes from the labels, and XLA has to know it before."
        )
    for part, names in (
        ("train", "--train_kshot (or --kshot) plus --nquery"),
        ("test", "--kshot plus --test_nquery"),
    ):
        _, kshot, nquery = few_shot_data.episode_sizes(part)
        if FLAGS.dataset != "folder" and kshot + nquery > 20:
            raise program.UsageError(
                f"{names} must be at most 20, the drawings of a character, not {kshot + nquery}."
            )
    # At test, Reptile takes a support set that is smaller as a whole.
    for part in ("train",) if FLAGS.method == "reptile" else ("train", "test"):
        nway, kshot, _ = few_shot_data.episode_sizes(part)
        if (FLAGS.inner_batch_size or 1) > nway * kshot:
            raise program.UsageError(
                f"--inner_batch_size must be at most {nway * kshot}, the size of the support set "
                f"of a {part} episode, not {FLAGS.inner_batch_size}."
            )


def set_up_runtime():
    """Deterministic operations, and threads so that episodes run side by side."""
    training.set_up_runtime(FLAGS.seed, FLAGS.meta_batch, FLAGS.jit_compile)


def strategy_scope():
    """Where models are made: the scope of the `tf.distribute` strategy."""
    if FLAGS.strategy == "none":
        return contextlib.nullcontext()
    strategy = tf.distribute.MirroredStrategy()
    if FLAGS.meta_batch % strategy.num_replicas_in_sync:
        raise program.UsageError(
            f"--meta_batch={FLAGS.meta_batch} must be a multiple of the "
            f"{strategy.num_replicas_in_sync} devices of --strategy=mirrored."
        )
    return strategy.scope()


def epoch_episodes():
    """Training episodes between two validations; Keras' epoch."""
    return min(FLAGS.validation_interval, FLAGS.episodes)


def compile_learner(learner, updates):
    rate = FLAGS.learning_rate
    if FLAGS.decay:
        rate = keras.optimizers.schedules.CosineDecay(rate, updates)
    optimizer = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}[FLAGS.meta_optimizer]
    learner.compile(
        optimizer(rate, global_clipnorm=FLAGS.clip_norm),
        METHODS[FLAGS.method].loss(),
        metrics=["accuracy"],
        jit_compile=FLAGS.jit_compile,
    )


def train(folder, drawings):
    """Trains or continues to the end; returns the best learner and the last checkpoint's state."""

    def new_learner(updates):
        learner = few_shot_learner.load_preset() if FLAGS.preset else few_shot_learner.new_learner()
        compile_learner(learner, updates)
        return learner

    interval = epoch_episodes()
    return training.train(
        folder,
        new_learner,
        functools.partial(make_episodes, drawings),
        epochs=FLAGS.episodes // interval,
        interval=interval,
        meta_batch=FLAGS.meta_batch,
        validation_episodes=FLAGS.validation_episodes,
        write_settings=write_settings_summary,
        scope=strategy_scope,
    )


def write_settings_summary(folder):
    """The flags as text and as HParams for TensorBoard."""
    training.write_settings_summary(folder, program.module_flags(__name__), NOT_SETTINGS)


def test(learner, drawings):
    """Accuracy over the test episodes: mean and half width of the 95 % interval."""
    print(f"Testing on {FLAGS.test_episodes} episodes of classes never seen in training ...")
    accuracies = metrics.evaluate_episodes(
        learner, make_episodes(drawings, "test", FLAGS.test_episodes)
    )
    return metrics.mean_and_ci95(accuracies)


def default_logdir():
    name = f"{FLAGS.method}-{FLAGS.nway}way-{FLAGS.kshot}shot"
    if FLAGS.preset and FLAGS.eval_only:
        name += f"-{pathlib.Path(FLAGS.preset).name}"
    return f"runs/{name}"


def main():
    few_shot_learner.apply_method()
    check_flags()
    set_up_runtime()
    logdir = pathlib.Path(FLAGS.logdir or default_logdir()).expanduser()
    preset = few_shot_learner.load_preset() if FLAGS.preset else None
    begun = program.saved_settings(logdir)
    drawings, dataset, reason = few_shot_data.load_data((begun or {}).get("dataset"))
    print(f"{FLAGS.nway}-way {FLAGS.kshot}-shot on {dataset} ({FLAGS.split} split).")
    values = program.module_flags(__name__)
    settings = {name: value for name, value in values.items() if name not in NOT_SETTINGS}
    settings["dataset"] = dataset
    if dataset == "folder":  # A user's own pictures may change between two starts.
        settings["pictures"] = few_shot_data.fingerprint(drawings)
    checkpoint = callbacks.Checkpoint(logdir / "checkpoints")
    if FLAGS.eval_only and not begun:
        # A run's own weights come first; without a run there must be a preset.
        learner, state = preset or checkpoint.load_best(), checkpoint.state
    folder = program.open_logdir(logdir, settings, FLAGS.resume)
    if not FLAGS.eval_only:
        print(f"Run folder {folder}; pictures of the training: tensorboard --logdir {folder}")
        learner, state = train(folder, drawings)
    elif begun:
        checkpoint, _ = callbacks.Checkpoint.resume(folder / "checkpoints")
        learner, state = checkpoint.load_best(), checkpoint.state
    accuracy, ci95 = test(learner, drawings)
    mode = "transductive" if learner.is_transductive() else "inductive"
    print(
        f"Test accuracy {accuracy:.2%} +- {ci95:.2%} (95 % interval over {FLAGS.test_episodes} "
        f"episodes; {dataset}, {FLAGS.split} split, {mode} batch normalisation)."
    )
    interval = epoch_episodes()
    picture = pictures.predicted_episode_picture(
        learner, next(iter(make_episodes(drawings, "test", 1)))
    )
    training.write_test_summary(folder, state["epoch"] * interval, accuracy, picture)
    files.write_json(
        folder / "results.json",
        {
            "experiment": "few_shot",
            "method": FLAGS.method,
            "dataset": dataset,
            "dataset_reason": reason,
            "split": FLAGS.split,
            "kshot": FLAGS.kshot,
            "batch_norm": mode,
            "preset": FLAGS.preset,
            **training.test_results(state, interval, accuracy, ci95, values),
        },
    )
    print(f"Results: {folder / 'results.json'}; a test episode: {folder / 'episode.png'}")


if __name__ == "__main__":
    program.run(main)
