"""The recipe of the learned optimizer."""

import functools
import pathlib
from typing import ClassVar

import keras

from meta_keras import layers
from meta_keras.errors import SettingError
from meta_keras.optimizers import (
    LearnedOptimizer,
    OptimizerTrainer,
    baselines,
    truncations,
    validation_optimizations,
)
from meta_keras.problems import RandomlyScaled
from meta_keras.recipes import optimizer_problems, optimizer_run
from meta_keras.recipes.optimizer_problems import PROBLEMS, by_problem
from meta_keras.recipes.settings import Settings, setting
from meta_keras.recipes.strategy import check_strategy, strategy_setting


class CoordinatewiseLSTM(Settings):
    """A learned optimizer: an LSTM applied to every coordinate (Andrychowicz et al. 2016).

    https://arxiv.org/abs/1606.04474. It is trained by truncated back-propagation through
    optimizations of a problem and compared with baselines whose rates are tuned on it.
    """

    name = "coordinatewise_lstm"
    published: ClassVar[tuple] = ()

    problem: str = setting(
        "quadratic",
        "What is optimized: quadratics; a network with 20 sigmoid units on MNIST; a convolutional "
        "network that learns 20 characters, new ones every time, of Omniglot or the built-in "
        "glyphs.",
        choices=PROBLEMS,
    )
    variant: str = setting(
        "gaussian",
        "Coefficients of the quadratics: N(0, 1) as in the paper, or U[0, 1) as in its code.",
        choices=["gaussian", "uniform"],
    )
    data_dir: str | None = setting(None, "TFDS folder; TFDS' own if not given.", decides=False)
    manual_dir: str | None = setting(
        None, "Folder with Omniglot's official zip files.", decides=False
    )
    optimizations: int = by_problem(
        3000, "Optimizations to learn from.", mnist=400, characters=400, at_least=1
    )
    steps: int = setting(
        100, "Steps of an optimization, after which optimizers are compared.", at_least=1
    )
    curriculum: tuple[int, ...] | None = setting(
        None,
        "Growing numbers of steps, such as 50,100,200: each is trained on for an equal share of "
        "the updates that `optimizations` of `steps` would be (Chen et al. 2020, "
        "https://arxiv.org/abs/2010.09089).",
    )
    meta_batch: int = setting(1, "Optimizations side by side, an update's.", at_least=1)
    unroll_steps: int = setting(20, "Steps of a truncation.", at_least=1)
    second_order: bool = by_problem(
        False,
        "Differentiate through the gradients the cell sees; the paper holds them constant "
        "(Andrychowicz et al. 2016, section 2).",
        mnist=True,
    )
    recompute: bool = setting(
        False,
        "Gradient checkpointing, for large `unroll_steps` (Chen, Xu, Zhang & Guestrin 2016, "
        "https://arxiv.org/abs/1604.06174).",
    )
    units: tuple[int, ...] = setting((20, 20), "Widths of the layers that see a coordinate.")
    grouped: bool = setting(
        False,
        "A cell of its own for the kernels of convolutions, as Andrychowicz et al. 2016, section "
        "3.3, have two LSTMs, one for convolutional and one for fully connected layers.",
    )
    preprocessing: str = by_problem(
        "rnnprop",
        "What the cell sees of a gradient: itself (the paper on quadratics), its logarithm and "
        "sign (on networks), gradient and mean over the root mean square (Lv et al. 2017, "
        "https://arxiv.org/abs/1703.03633), or, this project's own, both of the latter.",
        mnist="combined",
        characters="combined",
        choices=["none", "log_and_sign", "rnnprop", "combined"],
    )
    output_scale: float = by_problem(
        0.1, "Factor on the cell's output.", mnist=0.03, characters=0.01, above=0
    )
    gradient_rate: float = by_problem(
        0.0,
        "Adds a gated step along the gradient itself that starts with this learning rate, this "
        "project's own, see the cell; 0: none, as in the paper.",
        mnist=0.1,
        at_least=0,
    )
    random_scale: float = setting(
        0.0,
        "s: every coordinate is scaled by exp(U(-s, s)) in training (Lv et al. 2017).",
        at_least=0,
    )
    loss_weights: str = by_problem(
        "equal",
        "Weights w_t of the meta-loss: all 1 as in the paper, which allows any, or, this project's "
        "own choice, in proportion to t.",
        mnist="linear",
        choices=["equal", "linear"],
    )
    learning_rate: float = setting(3e-3, "Adam's first rate; cosine decay to 0.", above=0)
    clip_norm: float = setting(1.0, "Global norm of the meta-gradient at most.", above=0)
    validation_interval: int = by_problem(
        100, "Optimizations between validations.", mnist=50, characters=50, at_least=1
    )
    validation_runs: int = by_problem(
        20, "Optimizations of a validation.", characters=10, at_least=2
    )
    test_runs: int = by_problem(
        100, "Fresh optimizations of the test.", characters=20, at_least=2, decides=False
    )
    test_steps: int = setting(
        200, "Steps shown of a test optimization, at least `steps`.", at_least=1, decides=False
    )
    generalize: bool = setting(
        False,
        "Also test on what the optimizer was not trained on (mnist): 200 and 1,000 steps, 40 "
        "hidden units, two hidden layers, ReLU.",
        decides=False,
    )
    generalize_runs: int = setting(
        20, "Optimizations of each test of `generalize`.", at_least=2, decides=False
    )
    jit_compile: bool = setting(False, "Compile the whole training step with XLA.")
    preset: str | None = setting(None, "With `eval_only`: test this preset (a name or a folder).")
    seed: int = setting(0, "Seed of everything random.", at_least=0, at_most=2**32 - 1)
    strategy: str = strategy_setting()

    def check(self):
        optimizer_problems.check(self)
        check_strategy(self)
        if self.steps % self.unroll_steps:
            raise SettingError(
                f"steps={self.steps} must be a multiple of `unroll_steps`, {self.unroll_steps}."
            )
        if self.test_steps < self.steps:
            raise SettingError(f"test_steps={self.test_steps} must be at least steps={self.steps}.")
        if any(horizon % self.unroll_steps for horizon in self.curriculum or ()):
            raise SettingError(
                "`curriculum` must be positive multiples of `unroll_steps` such as 100,200, not "
                f"{','.join(map(str, self.curriculum))}."
            )
        if len(self.horizons) > self.total_updates:
            raise SettingError(
                f"`curriculum` must not have more horizons than there are updates, "
                f"{self.total_updates}: `optimizations` * `steps` / `unroll_steps`."
            )
        if self.interval % self.meta_batch:
            multiple = f"must be a multiple of meta_batch={self.meta_batch}."
            raise SettingError(f"validation_interval={self.interval} {multiple}")
        if self.optimizations % self.interval:
            raise SettingError(
                f"optimizations={self.optimizations} must be a multiple of validation_interval="
                f"{self.validation_interval} (or below it)."
            )
        if self.gradient_rate and self.preprocessing not in ("rnnprop", "combined"):
            raise SettingError(
                f"gradient_rate={self.gradient_rate:g} needs `preprocessing` rnnprop or combined, "
                f"not {self.preprocessing}; gradient_rate=0 does without."
            )

    @property
    def horizons(self):
        """Steps of an optimization in training, one after the other."""
        return list(self.curriculum or [self.steps])

    @property
    def interval(self):
        """Optimizations between two validations."""
        return min(self.validation_interval, self.optimizations)

    @property
    def updates(self):
        """Updates between two validations; Keras' epoch."""
        return self.interval // self.meta_batch * self.steps // self.unroll_steps

    @property
    def total_updates(self):
        return self.optimizations // self.interval * self.updates

    def cell(self):
        """A new cell, or that of the preset.

        Raises:
            PresetError: there is no such preset, or it is damaged.
        """
        if self.preset:
            return LearnedOptimizer.from_preset(self.preset).cell

        def new_cell():
            return layers.CoordinatewiseLSTM(
                self.units,
                self.preprocessing,
                output_scale=self.output_scale,
                gradient_rate=self.gradient_rate or None,
            )

        cell = new_cell()
        if self.grouped:
            cell = layers.GroupedCell([new_cell(), cell], [layers.is_convolution_kernel])
        return cell

    @functools.cached_property
    def problems(self):
        """The `Problems`, once.

        Raises:
            DatasetError: the data cannot be had.
        """
        return optimizer_problems.load(self)

    @property
    def training_problem(self):
        problem = self.problems.train
        return RandomlyScaled(problem, self.random_scale) if self.random_scale else problem

    def learner(self):
        """A new `OptimizerTrainer`, not compiled: what is trained is its cell."""
        longest = max(self.horizons)
        linear = [2.0 * t / (longest + 1) for t in range(1, longest + 1)]  # 1 on average
        return OptimizerTrainer(
            self.cell(),
            self.training_problem,
            unroll_steps=self.unroll_steps,
            second_order=self.second_order,
            loss_weights=linear if self.loss_weights == "linear" else None,
            recompute=self.recompute,
            horizon=longest,
            validation_problem=self.problems.validation,
            meta_batch=self.meta_batch,
        )

    def loss(self):
        """None: the loss is that of the problem."""

    def identity(self):
        """Everything that decides what a run reaches, a JSON-able dict."""
        once = {"meta_batch": 1, "strategy": "none"}  # Runs that began then do not tell of it.
        return {n: v for n, v in self.values(decides=True).items() if once.get(n) != v}

    def episodes(self, part, count=None, start=0, streams=None):
        """The work of a part: truncations of optimizations, or fresh optimizations.

        Args:
            part: `"train"`, `"validation"` or `"test"`.
            count: number of truncations, or of optimizations; by default those of the whole
                training, of a validation or of the test.
            start: number of the first truncation; training only.
            streams: of which of the optimizations side by side, all by default; likewise.

        Returns:
            A `tf.data.Dataset` for the `fit` or `evaluate` of `learner()`.
        """
        if part == "train":
            return truncations(
                self.total_updates if count is None else count,
                self.horizons,
                self.unroll_steps,
                self.seed,
                start=start,
                total=self.total_updates,
                meta_batch=self.meta_batch,
                streams=streams,
            )
        runs = {"validation": self.validation_runs, "test": self.test_runs}
        if part not in runs:
            raise SettingError(f"part={part} must be one of train, validation, test.")
        return validation_optimizations(baselines.seeds(part, count or runs[part]))

    def compiled_learner(self, updates):
        """A new trainer, ready for a run of so many updates."""
        trainer = self.learner()
        rate = keras.optimizers.schedules.CosineDecay(self.learning_rate, updates)
        optimizer = keras.optimizers.Adam(rate, global_clipnorm=self.clip_norm)
        trainer.compile(optimizer, jit_compile=self.jit_compile)
        return trainer

    def default_logdir(self):
        name = f"optimizer-{self.problem}"
        return f"runs/{name}" + (f"-{pathlib.Path(self.preset).name}" if self.preset else "")

    def fit(self, logdir=None, *, resume=True, eval_only=False, verbose=True):
        """Trains an optimizer and compares it with tuned baselines; leaves everything in a folder.

        Arguments, result and errors are those of `EpisodicRecipe.fit`. The trained optimizer is
        the preset `optimizer` in the folder.
        """
        return optimizer_run.run(self, logdir, resume, eval_only, verbose)
