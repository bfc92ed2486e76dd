"""Trains one cell on many tasks at once."""

import functools
import math

import keras
import tensorflow as tf

from meta_keras.arguments import Argument, Part, boolean, one_of, positive, positive_integer
from meta_keras.errors import SettingError
from meta_keras.optimizers.curves import loss_curve
from meta_keras.optimizers.estimators import backpropagated, evolved
from meta_keras.optimizers.meta_loss import FLOOR, meta_loss
from meta_keras.optimizers.trainer_settings import (
    carried_weights,
    refuse,
    refuse_replicas,
    same_policy,
)
from meta_keras.presets import model_file

WORST = 7.0  # f / f_0 of an optimization that has diverged.
ESTIMATORS = {"backpropagation": backpropagated, "pes": evolved}


def _tasks(trainer, name, tasks):
    """A check for the tasks that a trainer was made for; or None."""
    if tasks is not None and shapes_of(tasks) != trainer.shapes:
        raise SettingError(
            f"TaskSetTrainer: {name}={', '.join(tasks)} are not the tasks it was made for, "
            f"{', '.join(trainer.shapes)}, or have other variables."
        )
    return tasks


def shapes_of(tasks):
    """Dict from a task's name to the shapes of its variables, lists of lists of ints."""
    return {
        name: [list(v.shape) for v in task.variables] if task.variables else [[task.size]]
        for name, task in tasks.items()
    }


@keras.saving.register_keras_serializable(package="meta_keras")
class TaskSetTrainer(keras.Model):
    """Truncations of optimizations of many tasks, in turn, each of which trains the same cell.

        L(phi) = 1/T sum_t w_t log(f(theta_t) / f(theta_0) + 0.003),      w_t = 1/5 + 16/5 (t/N)^3

    The logarithm of the loss, over that at the start, makes tasks comparable, and the weights see
    to the end of an optimization of N steps. `gradient="backpropagation"` takes the derivative
    through the T steps of the truncation, see `backpropagated`; `"pes"` estimates that of the whole
    optimization, see `evolved`.

    A truncation in which a loss is seven times that of the start, or not finite, is dropped: it
    teaches nothing, it is counted, and the optimization starts anew.

    It is trained by plain `fit` on what `task_truncations` gives, and validated on what
    `task_validation` gives; `val_loss` is the mean of log(f / f_0 + 0.003), f the mean over the
    last tenth of the steps, and `val_task_0` and so on are those of every task.

    Args:
        cell: a `meta_keras.layers.Cell` with weights that serve any number of coordinates.
        tasks: dict from a name to a `Problem`. They are not saved: after `load_model` set the
            attribute `tasks` before training on.
        unroll_steps: T; None with `"pes"`: whole optimizations of N steps.
        second_order: as for `OptimizerTrainer`; of tasks that allow it.
        gradient: `"backpropagation"` or `"pes"`.
        deviation: sigma, for `"pes"`.
        pairs: n, pairs of particles, for `"pes"`.
        validation_tasks: dict likewise; `tasks` by default. Not saved either.
        shapes: see `shapes_of`; of the tasks by default.

    Raises:
        SettingError: an argument is out of range; `compile` is given a loss or metrics, or there
            are several replicas; or (in training) there are no tasks.
    """

    cell = Part()
    unroll_steps = Part(positive_integer(optional=True))
    second_order = Argument(boolean)
    gradient = Part(one_of(tuple(ESTIMATORS)))
    deviation = Argument(positive)
    pairs = Part(positive_integer())
    tasks = Argument(_tasks)
    validation_tasks = Argument()

    def __init__(
        self,
        cell,
        tasks=None,
        unroll_steps=20,
        second_order=True,
        gradient="backpropagation",
        deviation=0.01,
        pairs=2,
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
        self.shapes = shapes_of(tasks) if shapes is None else shapes
        self.unroll_steps = unroll_steps
        self.second_order = second_order
        self.gradient = gradient
        self.deviation = deviation
        self.pairs = pairs
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

    def build(self, input_shape=None):
        """Nothing is left to build."""

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

    def compile(self, optimizer="rmsprop", loss=None, loss_weights=None, metrics=None, **kwargs):
        refuse(loss=loss, loss_weights=loss_weights, metrics=metrics)
        refuse_replicas(self.distribute_strategy)
        super().compile(optimizer, **kwargs)

    compile_from_config = model_file.compile_from_config

    @property
    def metrics(self):
        return [self.loss_mean, *self.task_means]

    def make_train_function(self, force=False):
        jit = self.jit_compile
        self._step_by_task("train_function", self._train_task, lambda: self.tasks, force, jit)

    def make_test_function(self, force=False):
        tasks = self.validation_tasks or self.tasks or ()
        if len(self.task_means) != len(tasks):
            self.task_means = [keras.metrics.Mean(name=f"task_{n}") for n in range(len(tasks))]
        self._step_by_task("test_function", self._test_task, lambda: self.validation_tasks, force)

    def _step_by_task(self, name, step, tasks, force, jit_compile=False):
        """A step of Keras' `fit` that makes a graph for every task when it is the task's turn."""
        if getattr(self, name, None) is not None and not force:
            return
        graphs = {}

        def one_step(iterator):
            data = next(iterator)
            task = int(data["task"][0])
            if task not in graphs:
                problem = self._task(tasks() or self.tasks, task)
                # Its own code is ready for graphs: nothing is to be converted. (Functions of the
                # same code would be taken for one that is traced too often, partial ones are not.)
                graphs[task] = tf.function(
                    functools.partial(step, task, problem), autograph=False, jit_compile=jit_compile
                )
            return graphs[task](data)

        setattr(self, name, one_step)

    def _task(self, tasks, number):
        if tasks is None:
            raise SettingError("TaskSetTrainer: tasks=None; set the attribute .tasks before fit.")
        task = list(tasks.values())[number]
        self.cell.prepare([tf.TensorSpec(shape) for shape in shapes_of({"": task})[""]])
        return task

    def _train_task(self, number, task, data):
        seed, step, horizon, told = (data[key][0] for key in ("seed", "step", "horizon", "told"))

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
        )
        fine = tf.math.is_finite(tf.linalg.global_norm(gradients)) & (worst < WORST)
        variables = self.cell.trainable_variables

        def learn():
            self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
            return loss

        loss = tf.cond(fine, learn, lambda: tf.constant(math.log(WORST), loss.dtype))
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

    def _test_task(self, number, task, data):
        seed, steps, told = (data[key][0] for key in ("seed", "horizon", "told"))
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
            "shapes": self.shapes,
        }

    @classmethod
    def from_config(cls, config):
        cell = keras.saving.deserialize_keras_object(config["cell"])
        return cls(**{**config, "cell": cell})
