"""The recipe of the optimizer for any network."""

import functools
import pathlib
from typing import ClassVar

import keras

from meta_keras.errors import SettingError
from meta_keras.layers import CorrectedAdam
from meta_keras.optimizers import (
    LearnedOptimizer,
    TaskSetTrainer,
    baselines,
    task_truncations,
    task_validation,
)
from meta_keras.problems import mixture
from meta_keras.recipes import general_optimizer_run
from meta_keras.recipes.settings import Settings, setting

# Without what settings are not heeded.
NEEDED = dict.fromkeys(("deviation", "pairs", "limit"), "gradient=pes")
NEEDED |= dict.fromkeys(("units", "tensor_units", "rate"), "no preset")
NEEDED |= dict.fromkeys(("suite_runs", "suite_steps"), "suite")


class GeneralOptimizer(Settings):
    """A learned optimizer for networks it has never seen: Adam that small networks correct.

    Trained on many small tasks at once by evolution strategies, on whole optimizations
    (https://arxiv.org/abs/2112.13835), and tested on others beside tuned optimizers of Keras.
    """

    name = "corrected_adam"
    published: ClassVar[tuple] = ()

    problem: str = setting(
        "mixture", "What is optimized: many small networks on small data.", choices=["mixture"]
    )
    data_dir: str | None = setting(None, "TFDS folder; TFDS' own if not given.", decides=False)
    manual_dir: str | None = setting(
        None, "Folder with Omniglot's official zip files.", decides=False
    )
    updates: int = setting(160, "Updates of the optimizer's weights.", at_least=1)
    tasks_per_update: int = setting(
        18, "Optimizations, each of the next task in turn, of which an update is made.", at_least=1
    )
    horizons: tuple[int, ...] = setting(
        (60, 1000),
        "Steps of an optimization: the shortest and the longest; between them its logarithm is "
        "drawn uniformly.",
    )
    unknown: float = setting(
        0.3,
        "Share of optimizations whose length the optimizer is not told.",
        at_least=0,
        at_most=1,
    )
    gradient: str = setting(
        "pes",
        "How the loss of an optimization depends on the weights: persistent evolution strategies, "
        "of whole optimizations or, with `unroll_steps`, of truncations; or back-propagation.",
        choices=["pes", "backpropagation"],
    )
    unroll_steps: int | None = setting(None, "Steps of a truncation.", at_least=1)
    deviation: float = setting(0.1, "sigma of evolution strategies.", above=0)
    pairs: int = setting(1, "Pairs of particles of evolution strategies.", at_least=1)
    limit: float | None = setting(
        0.1,
        "Where the difference of a pair's losses is softly clipped, so that no task outweighs the "
        "others.",
        above=0,
    )
    rate: float = setting(0.02, "The optimizer's own rate before it is trained.", above=0)
    units: tuple[int, ...] | None = setting(None, "Widths of the layers that see a coordinate.")
    tensor_units: int | None = setting(
        None, "Width of the hidden layer that sees a tensor; none if not given.", at_least=1
    )
    learning_rate: float = setting(0.02, "Adam's first rate; cosine decay to 0.", above=0)
    validation_updates: int = setting(20, "Updates between validations.", at_least=1)
    task_runs: int = setting(
        2,
        "Optimizations of every validation task in a validation, each with and without knowing "
        "its length.",
        at_least=1,
    )
    validation_steps: tuple[int, ...] = setting((100, 1000), "Steps of them, in turn.")
    suite: bool = setting(
        False,
        "Test on networks and data of other kinds than the training's, beside tuned optimizers of "
        "Keras; about an hour and a half on a core.",
        decides=False,
    )
    suite_runs: int = setting(5, "Trainings of every test of `suite`.", at_least=2, decides=False)
    suite_steps: tuple[int, ...] = setting(
        (100, 500, 1000), "Steps of the trainings of `suite`.", decides=False
    )
    jit_compile: bool = setting(False, "Compile the whole training step with XLA.")
    preset: str | None = setting(None, "With `eval_only`: test this preset (a name or a folder).")
    seed: int = setting(0, "Seed of everything random.", at_least=0, at_most=2**32 - 1)

    def check(self):
        if len(self.horizons) != 2 or self.horizons[0] > self.horizons[1]:
            raise SettingError(
                "`horizons` must be the shortest and the longest, such as 60,1000, not "
                f"{','.join(map(str, self.horizons))}."
            )
        if self.unroll_steps is None and self.gradient != "pes":
            raise SettingError(
                f"gradient={self.gradient} needs `unroll_steps`: whole optimizations do not fit "
                "into memory."
            )
        if self.unroll_steps and self.unroll_steps > self.horizons[0]:
            raise SettingError(
                f"unroll_steps={self.unroll_steps} must be at most the shortest of `horizons`, "
                f"{self.horizons[0]}."
            )
        met = {
            "gradient=pes": self.gradient == "pes",
            "no preset": not self.preset,
            "suite": self.suite,
        }
        for name, needed in NEEDED.items():
            if name in self.given and not met[needed]:
                raise SettingError(f"{name}={getattr(self, name)} is only heeded with {needed}.")
        if list(self.suite_steps) != sorted(set(self.suite_steps)):
            raise SettingError(
                "`suite_steps` must be positive and go up, such as 100,500,1000, not "
                f"{','.join(map(str, self.suite_steps))}."
            )
        if len(self.validation_steps) > self.task_runs:
            raise SettingError(
                f"validation_steps={','.join(map(str, self.validation_steps))} needs task_runs of "
                f"{len(self.validation_steps)} or more, not {self.task_runs}: they are taken in "
                "turn."
            )
        if self.updates % self.interval:
            raise SettingError(
                f"updates={self.updates} must be a multiple of validation_updates="
                f"{self.validation_updates} (or below it)."
            )

    @property
    def interval(self):
        """Updates between two validations."""
        return min(self.validation_updates, self.updates)

    @property
    def truncations(self):
        """Truncations between two validations; Keras' epoch."""
        return self.interval * self.tasks_per_update

    def cell(self):
        """A new cell, or that of the preset.

        Raises:
            PresetError: there is no such preset, or it is damaged.
            SettingError: it is another cell's.
        """
        if self.preset:
            cell = LearnedOptimizer.from_preset(self.preset).cell
            if not isinstance(cell, CorrectedAdam):
                raise SettingError(
                    f"preset={self.preset} holds a {type(cell).__name__}, not a CorrectedAdam, "
                    "which alone is an optimizer for any network."
                )
            return cell
        return CorrectedAdam(self.units or (), self.tensor_units, self.rate)

    @functools.cached_property
    def tasks(self):
        """`(training tasks, validation tasks)`, dicts, made once.

        Raises:
            DatasetError: the data cannot be had.
        """
        return mixture.training_tasks(self.data_dir), mixture.validation_tasks(self.data_dir)

    def learner(self):
        """A new `TaskSetTrainer`, not compiled: what is trained is its cell."""
        training, validation = self.tasks
        return TaskSetTrainer(
            self.cell(),
            training,
            unroll_steps=self.unroll_steps,
            gradient=self.gradient,
            deviation=self.deviation,
            pairs=self.pairs,
            limit=self.limit,
            validation_tasks=validation,
        )

    def loss(self):
        """None: the loss is that of the tasks."""

    def episodes(self, part, count=None, start=0):
        """The work of a part: truncations of the training, or fresh optimizations.

        Args:
            part: `"train"` or `"validation"`.
            count: number of truncations, or of optimizations a task; by default those of the whole
                training or of a validation.
            start: number of the first truncation; training only.

        Returns:
            A `tf.data.Dataset` for the `fit` or `evaluate` of `learner()`.
        """
        training, validation = self.tasks
        if part == "train":
            every = self.updates * self.tasks_per_update
            count = every if count is None else count
            return task_truncations(
                len(training),
                count,
                self.horizons,
                self.unroll_steps,
                self.seed,
                start,
                self.unknown,
            )
        if part != "validation":
            raise SettingError(f"part={part} must be one of train, validation.")
        seeds = baselines.seeds("validation", self.task_runs if count is None else count)
        return task_validation(len(validation), seeds, self.validation_steps)

    def compiled_learner(self, truncations):
        """A new trainer, ready for a run of so many truncations."""
        trainer = self.learner()
        rate = keras.optimizers.schedules.CosineDecay(self.learning_rate, truncations)
        several = self.tasks_per_update if self.tasks_per_update > 1 else None
        optimizer = keras.optimizers.Adam(rate, gradient_accumulation_steps=several)
        trainer.compile(optimizer, jit_compile=self.jit_compile)
        return trainer

    def default_logdir(self):
        return "runs/optimizer-mixture" + (
            f"-{pathlib.Path(self.preset).name}" if self.preset else ""
        )

    def fit(self, logdir=None, *, resume=True, eval_only=False, verbose=True):
        """Trains an optimizer, tests it if `suite` says so, and leaves everything in a folder.

        Arguments and errors are those of `EpisodicRecipe.fit`; returns the content of
        `results.json`. The trained optimizer is the preset `optimizer` in the folder.
        """
        return general_optimizer_run.run(self, logdir, resume, eval_only, verbose)
