"""What recipes of learners that are trained on episodes have in common."""

import functools
from typing import ClassVar, NamedTuple

import keras

from meta_keras.errors import SettingError
from meta_keras.recipes import episodic_run
from meta_keras.recipes.settings import Settings, setting
from meta_keras.recipes.strategy import check_strategy, strategy_setting

STREAMS = {"train": 0, "validation": 1, "test": 2}


class EpisodeData(NamedTuple):
    """What episodes are drawn from.

    Attributes:
        parts: dict from `"train"`, `"validation"`, `"test"` to the classes of each.
        dataset: name of the data set that is really used.
        reason: why it is that one, a sentence; None where nothing was to choose.
        train_nway: N of a training episode.
        identity: dict of further settings, which name the very data.
    """

    parts: dict
    dataset: str
    reason: str | None
    train_nway: int
    identity: dict


class EpisodicRecipe(Settings):
    """A method with everything that decides what it reaches: data, learner, training, test.

    Subclasses implement `learner`, `loss`, `load_data`, `draw`, `picture`, `test`, `task` and
    `protocol`.

    Attributes:
        experiment: name of the experiment, for `results.json`.
        method: name of the method, likewise.
        unseen: what the test's episodes are of, for messages.
        published: `Published` figures of the method.
        metrics: what is measured in training beside the loss.
        monitor: what the best weights are chosen by.
        tells_of_no_strategy: whether runs without a `strategy` say so; others once had none.
    """

    experiment: ClassVar[str]
    unseen: ClassVar[str]
    published: ClassVar[tuple] = ()
    metrics: ClassVar[tuple] = ("accuracy",)
    monitor: ClassVar[str] = "val_accuracy"
    preset: ClassVar[str | None] = None
    tells_of_no_strategy: ClassVar[bool] = False

    train_episodes: int = setting(22000, "Training episodes.", at_least=1, called="episodes")
    meta_batch: int = setting(2, "Episodes an update.", at_least=1)
    learning_rate: float = setting(
        2e-3, "The meta-optimizer's first rate; cosine decay to 0.", above=0
    )
    validation_interval: int = setting(2000, "Episodes between validations.", at_least=1)
    validation_episodes: int = setting(100, "Episodes of a validation.", at_least=2)
    test_episodes: int = setting(600, "Test episodes.", at_least=2, decides=False)
    jit_compile: bool = setting(False, "Compile the whole training step with XLA.")
    seed: int = setting(0, "Seed of everything random.", at_least=0, at_most=2**32 - 1)
    strategy: str = strategy_setting()

    def check(self):
        check_strategy(self)
        if self.train_episodes % self.interval or self.interval % self.meta_batch:
            raise SettingError(
                f"episodes={self.train_episodes} must be a multiple of validation_interval="
                f"{self.validation_interval} (or below it), and that a multiple of meta_batch="
                f"{self.meta_batch}."
            )

    @property
    def method(self):
        return self.name

    @property
    def interval(self):
        """Training episodes between two validations; Keras' epoch."""
        return min(self.validation_interval, self.train_episodes)

    def learner(self):
        """A new `Learner`, not compiled."""
        raise NotImplementedError

    def loss(self):
        """The loss of the query pictures' outputs, a `keras.losses.Loss`."""
        raise NotImplementedError

    def optimizer(self, updates):
        """The meta-optimizer for a run of so many updates."""
        rate = keras.optimizers.schedules.CosineDecay(self.learning_rate, updates)
        return keras.optimizers.Adam(rate)

    def compiled_learner(self, updates):
        """A new learner, ready for a run of so many updates."""
        learner = self.learner()
        learner.compile(
            self.optimizer(updates),
            self.loss(),
            metrics=list(self.metrics),
            jit_compile=self.jit_compile,
        )
        return learner

    def load_data(self, begun_with=None):
        """`EpisodeData` as the settings say.

        Args:
            begun_with: the data set of the run that is continued, if it is one.

        Raises:
            DatasetError: the data cannot be had.
            SettingError: there are fewer classes than an episode needs.
        """
        raise NotImplementedError

    @functools.cached_property
    def data(self):
        """`load_data()`, once."""
        return self.load_data()

    def use_data(self, data):
        """Takes `EpisodeData` as that of this recipe."""
        self._set("data", data)

    def draw(self, part, seed, count, start, meta_batch, every):
        """A dataset of episodes of a part."""
        raise NotImplementedError

    def episodes(self, part, count=None, start=0, meta_batch=None, every=1):
        """The stream of episodes of a part: training runs on, the others are always the same.

        Args:
            part: `"train"`, `"validation"` or `"test"`.
            count: number of episodes; by default those of the whole training, of a validation or
                of the test.
            start: number of the first one.
            meta_batch: episodes a batch; `meta_batch` in training and 1 elsewhere by default.
            every: so many workers, each with a `start` of its own, share the stream.

        Returns:
            A `tf.data.Dataset` of batches `(x, y)`, see `EpisodicLearner` and `DescribedLearner`.

        Raises:
            DatasetError, SettingError: see `load_data`.
        """
        if part not in STREAMS:
            raise SettingError(f"part={part} must be one of {', '.join(STREAMS)}.")
        counts = self.train_episodes, self.validation_episodes, self.test_episodes
        return self.draw(
            part,
            seed=self.seed * len(STREAMS) + STREAMS[part],
            count=counts[STREAMS[part]] if count is None else count,
            start=start,
            meta_batch=meta_batch or (self.meta_batch if part == "train" else 1),
            every=every,
        )

    def picture(self, learner, batch):
        """The first episode of a batch with the learner's answers, uint8 `[height, width, 3]`."""
        raise NotImplementedError

    def identity(self):
        """Everything that decides what a run reaches, a JSON-able dict."""
        found = self.values(decides=True)
        if self.strategy == "none" and not self.tells_of_no_strategy:
            del found["strategy"]
        return {**found, "dataset": self.data.dataset, **self.data.identity}

    def default_logdir(self, eval_only=False):
        """The folder of a run for which none is named."""
        raise NotImplementedError

    def fit(self, logdir=None, *, resume=True, eval_only=False, verbose=True):
        """Trains on episodes and tests on classes never seen; leaves everything in a folder.

        The same call again continues an interrupted run, and only tests a finished one. With
        strategy="multi_worker" it is made in every worker of the cluster.

        Args:
            logdir: the run's folder; one under `runs/` by default. See the docs on what it holds.
            resume: whether a run found there may be continued.
            eval_only: only test the best weights found there, or the preset's.
            verbose: whether to print what goes on.

        Returns:
            The content of `results.json`, a dict; None in a worker that is not the chief.

        Raises:
            UserError: of the kind that says what is wrong (`SettingError`, `DatasetError`,
                `PresetError`, `CheckpointError`, `NonFiniteLoss`, `WorkerLost`).
        """
        return episodic_run.run(self, logdir, resume, eval_only, verbose)

    def test(self, learner, folder, seen, say):
        """Tests a learner, tells and draws what was found.

        Args:
            learner: with the best weights.
            folder: the run's, a `pathlib.Path`.
            seen: number of training episodes.
            say: function of a line to print.

        Returns:
            What `results.json` says of it, a JSON-able dict.
        """
        raise NotImplementedError

    def task(self):
        """The task in words: `5-way 1-shot`."""
        raise NotImplementedError

    def protocol(self):
        """Data and split in words."""
        raise NotImplementedError
