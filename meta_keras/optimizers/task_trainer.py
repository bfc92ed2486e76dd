"""Trains one cell on many tasks at once."""

import functools
import math

import keras
import tensorflow as tf

from meta_keras.arguments import (
    Argument,
    Part,
    boolean,
    one_of,
    positive,
    positive_integer,
    refusal,
)
from meta_keras.errors import SettingError
from meta_keras.optimizers.curves import loss_curve
from meta_keras.optimizers.estimators import backpropagated, evolved
from meta_keras.optimizers.meta_loss import FLOOR, meta_loss
from meta_keras.optimizers.trainer_settings import (
    carried_weights,
    limit_or_none,
    named_problems,
    same_policy,
    same_tasks,
    shapes_of,
    task_optimization,
    task_truncation,
    trained_weights,
)
from meta_keras.optimizers.truncation_trainer import TruncationTrainer

WORST = 7.0  # f / f_0 of an optimization that has diverged.
ESTIMATORS = {"backpropagation": backpropagated, "pes": evolved}


@keras.saving.register_keras_serializable(package="meta_keras")
class TaskSetTrainer(TruncationTrainer):
    """Truncations of optimizations of many tasks, in turn, each of which trains the same cell.

        L(phi) = 1/T sum_t w_t log(f(theta_t) / f(theta_0) + 0.003),      w_t = 1/5 + 16/5 (t/N)^3

    The logarithm of the loss, over that at the start, makes tasks comparable, and the weights see
    to the end of an optimization of N steps. `gradient="backpropagation"` takes the derivative
    through the T steps of the truncation, see `backpropagated`; `"pes"` estimates that of the whole
    optimization, see `evolved`.

    A truncation in which a loss is seven times that of the start, or not finite, is dropped: its
    gradients are taken for zeros, it is counted, and the optimization starts anew.

    It is trained by plain `fit` on what `task_truncations` gives, and validated on what
    `task_validation` gives; `val_loss` is the mean of log(f / f_0 + 0.003), f the mean over the
    last tenth of the steps, and `val_task_0` and so on are those of every task. XLA, which
    `compile(jit_compile=True)` asks for, compiles the training alone.

    Args:
        cell: a `meta_keras.layers.Cell` with weights that serve any number of coordinates.
        tasks: dict from a name to a `Problem`. They are not saved: after `load_model` set the
            attribute `tasks` before training on.
        unroll_steps: T; None with `"pes"`: whole optimizations of N steps.
        second_order: as for `OptimizerTrainer`; of tasks that allow it.
        gradient: `"backpropagation"` or `"pes"`.
        deviation: sigma, for `"pes"`.
        pairs: n, pairs of particles, for `"pes"`.
        limit: of what a pair can say, for `"pes"`, see `evolved`; None: unlimited.
        validation_tasks: dict likewise; `tasks` by default. Not saved either.
        shapes: see `shapes_of`; of the tasks by default.

    Raises:
        SettingError: an argument is out of range, also when set later; `compile` or `fit` is given
            what it cannot heed, or there are several replicas; or (in training) there are no tasks,
            or fewer than in the data, no weight of the cell is trainable, or the data are not what
            `task_truncations` and `task_validation` give, or for another length.
    """

    made_by = "task_truncations", "task_validation"
    cell = Part()
    unroll_steps = Part(positive_integer(optional=True))
    second_order = Argument(boolean)
    gradient = Part(one_of(tuple(ESTIMATORS)))
    deviation = Argument(positive)
    pairs = Part(positive_integer())
    limit = Argument(limit_or_none)
    tasks = Argument(same_tasks)
    validation_tasks = Argument(named_problems)

    def __init__(
        self,
        cell,
        tasks=None,
        unroll_steps=20,
        second_order=True,
        gradient="backpropagation",
        deviation=0.01,
        pairs=2,
        limit=None,
        validation_tasks=None,
        shapes=None,
        dtype=None,
        **kwargs,
    ):
        super().__init__(dtype=same_policy(type(self).__name__, cell, dtype), **kwargs)
        if not (tasks or shapes):
            raise SettingError("TaskSetTrainer: tasks are needed.")
        cell.build_once()
        self.cell = cell
        named_problems(self, "tasks", tasks)
        self.shapes = shapes_of(tasks) if shapes is None else shapes
        self.unroll_steps = unroll_steps
        self.second_order = second_order
        self.gradient = gradient
        self.deviation = deviation
        self.pairs = pairs
        self.limit = limit
        self.tasks = tasks
        self.validation_tasks = validation_tasks
        if unroll_steps is None and gradient != "pes":
            raise SettingError(
                f"TaskSetTrainer: unroll_steps=None, whole optimizations, needs gradient='pes', "
                f"not {gradient!r}: back-propagation would keep all their steps in memory."
            )
        # Whole optimizations leave nothing to go on with.
        shapes = self.shapes.values() if unroll_steps else ()
        self.structures = [self._empty(of_task) for of_task in shapes]
        self.carried = [
            carried_weights(self, structure, f"task_{task}")
            for task, structure in enumerate(self.structures)
        ]
        self.dropped = self.add_weight(initializer="zeros", trainable=False, name="dropped")
        self.loss_mean = keras.metrics.Mean(name="loss")
        self.task_means = []
        self.built = True

    def _empty(self, shapes):
        """What is carried from a truncation of a task to its next one, before the first."""
        self.cell.prepare([tf.TensorSpec(shape) for shape in shapes])
        size = sum(math.prod(shape) for shape in shapes)
        return self._begin(tf.zeros(size, self.cell.compute_dtype), tf.zeros((), tf.int64), 0.0)

    def _begin(self, theta, horizon, first):
        """An optimization that begins.

        Args:
            theta: `[P]`.
            horizon: int64 scalar, the length that the cell is told of; 0: it is not told.
            first: its loss at the start.
        """
        run = theta, self.cell.for_horizon(self.cell.initial_state(theta), horizon)
        pes = self.gradient == "pes"
        return {
            "runs": [(run, run)] * self.pairs if pes else [run],
            "offsets": [
                [tf.zeros(v.shape, v.dtype) for v in self.cell.trainable_variables]
                for _ in range(self.pairs if pes else 0)
            ],
            "first": tf.cast(first, self.cell.compute_dtype),
            "goes_on": tf.constant(1.0),
        }

    def compile(self, *args, steps_per_execution=1, jit_compile=False, **kwargs):
        if steps_per_execution != 1:
            allowed = "be 1, as every task has a graph of its own"
            raise refusal(self, "steps_per_execution", steps_per_execution, allowed)
        super().compile(*args, jit_compile=jit_compile, **kwargs)

    @property
    def metrics(self):
        return [self.loss_mean, *self.task_means]

    def make_train_function(self, force=False):
        if self.train_function is None or force:
            step = self._step_by_task(self._train_task, task_truncation, "tasks", self.jit_compile)
            self.train_function = step

    def make_test_function(self, force=False):
        if self.test_function is None or force:
            name = "validation_tasks" if self.validation_tasks else "tasks"
            count = len(getattr(self, name) or ())
            if len(self.task_means) != count:
                self.task_means = [keras.metrics.Mean(name=f"task_{n}") for n in range(count)]
            self.test_function = self._step_by_task(self._test_task, task_optimization, name)

    def _step_by_task(self, step, read, name, jit_compile=False):
        """A step of Keras' `fit` that makes a graph for every task when it is the task's turn.

        Args:
            step: function of a task's number, the task and the rest of a row.
            read: function of this trainer and a row, to its scalars, the task's number first.
            name: of the attribute that has the tasks.
        """
        graphs = {}

        def one_step(iterator):
            number, *row = read(self, next(iterator))
            number = int(number)
            if number not in graphs:
                graph = functools.partial(step, number, self._task(name, number))
                # Its own code is ready for graphs: nothing is to be converted. (Functions of the
                # same code would be taken for one that is traced too often, partial ones are not.)
                if not self.run_eagerly:
                    graph = tf.function(graph, autograph=False, jit_compile=jit_compile)
                graphs[number] = graph
            return graphs[number](*row)

        return one_step

    def _task(self, name, number):
        """The task of a number, for which the cell is prepared."""
        tasks = getattr(self, name)
        if tasks is None:
            raise SettingError("TaskSetTrainer: tasks=None; set the attribute .tasks before fit.")
        if number >= len(tasks):
            raise SettingError(
                f"TaskSetTrainer: `x` was made for more tasks than there are {name}, {len(tasks)}."
            )
        task = list(tasks.values())[number]
        self.cell.prepare([tf.TensorSpec(shape) for shape in shapes_of({"": task})[""]])
        return task

    def _train_task(self, number, task, seed, step, horizon, told):
        variables = trained_weights(self)

        def start():
            theta = tf.cast(task.initial_parameters(seed), self.cell.compute_dtype)
            first = task.loss(theta, seed, tf.constant(0, tf.int64))
            return self._begin(theta, told, tf.maximum(first, 1e-6))

        if self.unroll_steps is None:
            begin = start()
        else:
            carried = tf.nest.pack_sequence_as(
                self.structures[number], [tf.convert_to_tensor(v) for v in self.carried[number]]
            )
            begin = tf.cond((step == 0) | (carried["goes_on"] == 0.0), start, lambda: carried)
        noise = self.deviation, tf.stack([seed, step])
        loss, gradients, runs, offsets, worst = ESTIMATORS[self.gradient](
            lambda run: self.truncation_loss(task, run, begin["first"], seed, step, horizon),
            self.cell,
            begin["runs"],
            begin["offsets"],
            noise,
            self.limit,
        )
        fine = tf.math.is_finite(tf.linalg.global_norm(gradients)) & (worst < WORST)
        # Zeros for what is dropped: schedules and accumulation of gradients count every truncation.
        gradients = [tf.where(fine, g, tf.zeros_like(g)) for g in gradients]
        scaled = map(self.optimizer.scale_loss, gradients)  # which `apply_gradients` undoes
        self.optimizer.apply_gradients(zip(scaled, variables, strict=True))
        loss = tf.where(fine, loss, math.log(WORST))
        self.dropped.assign_add(tf.where(fine, 0.0, 1.0))
        if self.unroll_steps is not None:
            goes_on = tf.cast(fine, tf.float32)
            after = {**begin, "runs": runs, "offsets": offsets, "goes_on": goes_on}
            for variable, value in zip(self.carried[number], tf.nest.flatten(after), strict=True):
                variable.assign(value)
        self.loss_mean.update_state(loss)
        return {"loss": self.loss_mean.result(), "dropped": tf.convert_to_tensor(self.dropped)}

    def truncation_loss(self, task, run, first, seed, step, horizon):
        """L of one truncation, see `meta_loss`."""
        return meta_loss(
            self.cell,
            task,
            run,
            first,
            (seed, step, horizon),
            steps=self.unroll_steps or horizon,
            looped=self.gradient == "pes",
            second_order=self.second_order and task.second_order,
        )

    def _test_task(self, number, task, seed, steps, told):
        curve = loss_curve(self.cell, task, seed, steps, told)
        curve /= curve[0]
        end = tf.reduce_mean(curve[-tf.maximum(steps // 10, 1) :])
        end = tf.where(tf.math.is_finite(end), tf.minimum(end, WORST), WORST)
        found = tf.math.log(end + FLOOR)
        for mean in self.loss_mean, self.task_means[number]:
            mean.update_state(found)
        return {mean.name: mean.result() for mean in self.metrics}

    def get_config(self):
        return {
            **super().get_config(),
            "cell": keras.saving.serialize_keras_object(self.cell),
            "unroll_steps": self.unroll_steps,
            "second_order": self.second_order,
            "gradient": self.gradient,
            "deviation": self.deviation,
            "pairs": self.pairs,
            "limit": self.limit,
            "shapes": self.shapes,
        }

    @classmethod
    def from_config(cls, config):
        cell = keras.saving.deserialize_keras_object(config["cell"])
        return cls(**{**config, "cell": cell})
