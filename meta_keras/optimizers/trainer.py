"""Trains a learned optimizer by gradient descent through the unrolled optimization."""

import keras
import tensorflow as tf

from meta_keras.arguments import Argument, Part, boolean, positive_integer
from meta_keras.errors import SettingError
from meta_keras.optimizers import old_files
from meta_keras.optimizers.curves import MeanCurve, loss_curve
from meta_keras.optimizers.trainer_settings import (
    carried_weights,
    check_enough,
    needed_problem,
    optimization,
    penalties,
    prepare_cell,
    problem_of_size,
    same_policy,
    trained_weights,
    truncation,
    weights,
)
from meta_keras.optimizers.truncation_trainer import TruncationTrainer
from meta_keras.recompute import unroll_recomputed
from meta_keras.unroll import unroll


def _restart_curve(trainer, horizon):
    trainer.curve = MeanCurve(horizon + 1)


@keras.saving.register_keras_serializable(package="meta_keras")
class OptimizerTrainer(TruncationTrainer):
    """Truncated back-propagation through the runs of a cell on a problem.

    One training step carries on an optimization for `unroll_steps` steps and takes one step of
    the outer optimizer on the cell's weights phi, with the loss (Andrychowicz et al. 2016,
    equation 3, divided by the number of steps, https://arxiv.org/abs/1606.04474)

        L(phi) = 1/T sum_{t=1}^{T} w_t f(theta_t),      theta_t = cell(grad f(theta_{t-1}), ...)

    to which what regularisers of the cell's weights give is added. Parameters and state of the
    cell are carried over to the next training step as values; no derivative goes back beyond the
    truncation.

    It is trained by plain `fit` on a data set of truncations, see `truncations`, and validated by
    Keras on one of fresh optimizations, see `validation_optimizations`. Each of those runs for
    `horizon` steps; `val_loss` is the mean over steps 1 to `horizon` (weighted by w_t) of the mean
    over optimizations, `val_final_loss` the mean after the last step.

    All settings but `cell`, `size` and `dtype` may be changed as attributes at any time, by
    callbacks too: the next step or validation is made anew with them. A new `unroll_steps` needs a
    `fit` on truncations of that length: those of another, as of a `fit` that runs, are refused.

    Args:
        cell: a `meta_keras.layers.Cell` with weights, whose first state has the structure of the
            next ones. Theta is of its dtype.
        problem: a `meta_keras.problems.Problem`. It is not saved: after `load_model` set the
            attribute `problem` before training on.
        unroll_steps: T, steps of one truncation.
        second_order: if false, gradients enter the cell as constants, as in the paper
            (section 2, figure 2).
        loss_weights: w_1, w_2, ... for every step of an optimization, at least as many as its
            longest horizon has; None: all 1, as in the paper, whose equation 3 allows any.
        recompute: gradient checkpointing, see `unroll_recomputed`: memory for truncations of many
            steps.
        horizon: steps of an optimization in validation; the paper's 100 by default.
        validation_problem: what validation runs on, of the same size; `problem` by default. Not
            saved either.
        size: P; that of the problem by default.
        meta_batch: B, optimizations side by side: an update carries each on by a truncation and
            follows the mean of their losses.
        dtype: that of the cell, by default and by rule.

    Attributes:
        curve: the `MeanCurve` of the last validation: `curve.mean` and `curve.ci95`, NumPy
            `[horizon + 1]`, of the losses after 0, 1, ... steps.

    Raises:
        SettingError: an argument is out of range, also when set later; a layer of the cell adds
            losses of its activations; `compile` or `fit` is given a loss, metrics, targets or
            weights, or there are several replicas; or (in training) there is no problem, it does
            not allow the second derivatives that `second_order` takes, no weight of the cell is
            trainable, the data are not what `truncations` gives, or for another length; or (in
            validation too) the data are not what `validation_optimizations` gives, or there are
            fewer weights than steps.

    Example:

    >>> from meta_keras import layers, optimizers, problems
    >>> cell, problem = layers.CoordinatewiseLSTM((4,)), problems.Quadratic(dimensions=2, batch=3)
    >>> trainer = optimizers.OptimizerTrainer(cell, problem, unroll_steps=5, horizon=10)
    >>> trainer.compile(keras.optimizers.Adam(0.01))
    >>> work = optimizers.truncations(count=4, steps=10, unroll_steps=5)
    >>> validation = optimizers.validation_optimizations([-1, -2])
    >>> history = trainer.fit(work, validation_data=validation, verbose=0).history
    >>> sorted(history)
    ['loss', 'val_final_loss', 'val_loss']
    """

    cell = Part()
    size = Part()
    problem = Argument(problem_of_size, then=prepare_cell)
    validation_problem = Argument(problem_of_size)
    unroll_steps = Argument(positive_integer())
    second_order = Argument(boolean)
    loss_weights = Argument(weights)
    recompute = Argument(boolean)
    horizon = Argument(positive_integer(), then=_restart_curve)
    meta_batch = Part(positive_integer())

    def __init__(
        self,
        cell,
        problem=None,
        unroll_steps=20,
        second_order=False,
        loss_weights=None,
        recompute=False,
        horizon=100,
        validation_problem=None,
        size=None,
        meta_batch=1,
        dtype=None,
        **kwargs,
    ):
        name = type(self).__name__
        super().__init__(dtype=same_policy(name, cell, dtype), **kwargs)
        if problem is None and size is None:
            raise SettingError(f"{name}: a problem is needed.")
        self.cell = cell
        self.size = positive_integer()(self, "size", problem.size if size is None else size)
        self.problem = problem
        self.validation_problem = validation_problem
        self.unroll_steps = unroll_steps
        self.second_order = second_order
        self.loss_weights = loss_weights
        self.recompute = recompute
        self.meta_batch = meta_batch
        cell.build_once(self.size)
        # theta and the cell's state: what is carried over.
        theta = tf.zeros(self.size, cell.compute_dtype)
        self.structure = theta, cell.initial_state(theta)
        self.carried = carried_weights(self, [self.structure] * self.meta_batch, "carried")
        self.loss_mean = keras.metrics.Mean(name="loss")
        self.horizon = horizon
        self.built = True

    def make_train_function(self, force=False):
        trained = tuple(id(variable) for variable in self.trainable_variables)
        changed = trained != getattr(self, "_trained", trained)
        self._trained = trained
        return super().make_train_function(force or changed)

    @property
    def metrics(self):
        return [self.loss_mean, self.curve]

    def start(self, seed):
        """`(parameters, state)` at the beginning of optimization `seed`."""
        parameters = tf.cast(self.problem.initial_parameters(seed), self.cell.compute_dtype)
        return parameters, self.cell.initial_state(parameters)

    def truncation_loss(self, seed, step, parameters, state):
        """The loss of one truncation.

        Args:
            seed, step: int64 scalars: the optimization, and its steps so far.
            parameters: `[P]`.
            state: of the cell.

        Returns:
            `(loss, parameters, state)`: scalar, and what the last step left.
        """

        def loss_fn(theta, t, carry):
            return self.problem.loss(theta, seed, step + t), carry

        run = (unroll_recomputed if self.recompute else unroll)(
            self.cell,
            loss_fn,
            parameters,
            self.unroll_steps,
            state=state,
            second_order=self.second_order,
        )
        last, _ = loss_fn(run.parameters, self.unroll_steps, ())
        losses = tf.stack([*run.losses[1:], last])
        if self.loss_weights is not None:
            weights = tf.constant(self.loss_weights, losses.dtype)
            losses *= tf.gather(weights, step + tf.range(self.unroll_steps, dtype=tf.int64))
        return tf.reduce_mean(losses), run.parameters, run.state

    def train_step(self, data):
        problem = needed_problem(self, self.problem)
        if self.second_order and not problem.second_order:
            raise SettingError(
                f"{type(self).__name__}: second_order=True needs a problem with second_order=True."
            )
        variables = trained_weights(self)
        work = truncation(self, data)
        # A replica of several has work, and carries on, for its share of the optimizations only.
        kept = self.carried[: len(tf.nest.flatten([self.structure] * len(work)))]
        carried = tf.nest.pack_sequence_as(
            [self.structure] * len(work), [tf.convert_to_tensor(v) for v in kept]
        )
        losses, after = [], []
        with tf.GradientTape() as tape:
            for (seed, step), run in zip(work, carried, strict=True):
                begin = tf.cond(step == 0, lambda s=seed: self.start(s), lambda r=run: r)
                loss, *run = self.truncation_loss(seed, step, *begin)
                losses.append(loss)
                after.append(tuple(run))
            loss = tf.reduce_mean(losses) + sum(penalties(self.cell, variables))
            # The gradients of replicas are added up; and `apply_gradients` undoes the scale.
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            scaled_loss = self.optimizer.scale_loss(loss / replicas)
        gradients = tape.gradient(scaled_loss, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        for variable, value in zip(kept, tf.nest.flatten(after), strict=True):
            variable.assign(value)
        self.loss_mean.update_state(loss)
        return {"loss": self.loss_mean.result()}

    def test_step(self, data):
        problem = needed_problem(self, self.validation_problem or self.problem)
        check_enough(self.loss_weights, f"horizon={self.horizon}", self.horizon)
        weights = self.loss_weights or [1.0] * self.horizon
        seed = optimization(self, data)
        self.curve.update_state(loss_curve(self.cell, problem, seed, self.horizon))
        mean = self.curve.result()
        weights = tf.constant(weights[: self.horizon], mean.dtype)
        loss = tf.reduce_sum(weights * mean[1:]) / tf.reduce_sum(weights)
        return {"loss": loss, "final_loss": mean[-1]}

    def load_own_variables(self, store):
        arrays = [store[str(number)] for number in range(len(store.keys()))]
        if len(arrays) > len(self.carried):
            arrays = old_files.without_scale(arrays)
        if len(arrays) > len(self.carried):
            arrays = old_files.without_unused_means(arrays)
        super().load_own_variables({str(number): array for number, array in enumerate(arrays)})

    def get_config(self):
        return {
            **super().get_config(),
            "cell": keras.saving.serialize_keras_object(self.cell),
            "unroll_steps": self.unroll_steps,
            "second_order": self.second_order,
            "loss_weights": self.loss_weights,
            "recompute": self.recompute,
            "horizon": self.horizon,
            "size": self.size,
            "meta_batch": self.meta_batch,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config.pop("random_scale", None)  # Problems have it now.
        config["cell"] = keras.saving.deserialize_keras_object(config["cell"])
        return cls(**config)
