"""The settings of the two trainers that are their own, and the data they take."""

import math

import numpy as np
import tensorflow as tf

from meta_keras.arguments import positive, real, refusal
from meta_keras.batch_norm import adding_losses
from meta_keras.errors import SettingError
from meta_keras.layers.cell import Cell
from meta_keras.layers.full_precision import full_precision
from meta_keras.problems.problem import Problem


def weights(trainer, name, value):
    """A check for a list of finite floats, none negative and not all zero; or None."""
    if value is None:
        return None
    numbers = [real(weight) for weight in value] if np.ndim(value) == 1 else []
    if not all(0 <= number < math.inf for number in numbers) or not any(numbers):
        allowed = "not be negative nor all zero, but a list of finite numbers"
        raise refusal(trainer, name, value, allowed)
    return numbers


def problem_of_size(trainer, name, value):
    """A check for a problem with as many parameters as the trainer; or None."""
    size = getattr(value, "size", None)
    if value is not None and size != trainer.size:
        raise refusal(trainer, name, value, f"have {trainer.size} parameters, not {size}")
    return value


def same_policy(name, cell, dtype):
    """The dtype policy of a trainer of that name, which has to compute in what its cell does.

    Raises:
        SettingError: `dtype` is another one, or the cell is none.
    """
    if not isinstance(cell, Cell):
        raise SettingError(f"{name}: cell={cell!r} must be a meta_keras.layers.Cell.")
    policy = full_precision(dtype or cell.dtype_policy, name)
    if policy.compute_dtype != cell.compute_dtype:
        raise SettingError(
            f"{name}: dtype={dtype!r} must be that of the cell, {cell.compute_dtype}."
        )
    return policy


def named_problems(trainer, name, tasks):
    """A check for a dict from names to problems; or None."""
    right = isinstance(tasks, dict) and tasks
    if tasks is not None and not (
        right and all(isinstance(k, str) and isinstance(v, Problem) for k, v in tasks.items())
    ):
        raise refusal(trainer, name, tasks, "be a dict from names to meta_keras.problems.Problem")
    return tasks


def limit_or_none(trainer, name, value):
    """A check for a positive float or None."""
    return None if value is None else positive(trainer, name, value)


def same_tasks(trainer, name, tasks):
    """A check for the tasks that a trainer was made for; or None."""
    if named_problems(trainer, name, tasks) and shapes_of(tasks) != trainer.shapes:
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


def prepare_cell(trainer, problem):
    """Tells a trainer's cell of the variables of a problem, if it has any."""
    if problem is not None and problem.variables is not None:
        trainer.cell.prepare(problem.variables)


def needed_problem(trainer, problem):
    """The problem, for which the cell is prepared, whatever else it has been prepared for since.

    Raises:
        SettingError: there is none.
    """
    if problem is None:
        raise SettingError(
            f"{type(trainer).__name__}: problem=None; a loaded trainer has none: set its "
            "attribute .problem before fit."
        )
    prepare_cell(trainer, problem)
    return problem


def carried_weights(trainer, structure, name):
    """Weights of a trainer, not trained, that hold a nest of tensors from step to step: a list.

    Raises:
        SettingError: there is no tensor yet for a part of it.
    """
    if any(leaf is None for leaf in tf.nest.flatten(structure)):
        raise SettingError(
            f"{type(trainer).__name__}: cell={trainer.cell!r} must have a whole state before it "
            "runs."
        )
    return [
        trainer.add_weight(
            shape=leaf.shape,
            initializer="zeros",
            dtype=leaf.dtype.name,
            trainable=False,
            name=f"{name}_{number}",
        )
        for number, leaf in enumerate(tf.nest.flatten(structure))
    ]


def trained_weights(trainer):
    """The weights of a trainer that are trained, a list.

    Raises:
        SettingError: there are none.
    """
    if not trainer.trainable_variables:
        raise SettingError(
            f"{type(trainer).__name__}: cell={trainer.cell!r} has no trainable weights: it has "
            "none, or it is frozen (trainable=False)."
        )
    return trainer.trainable_variables


def penalties(cell, variables):
    """What the regularisers of a cell's trainable weights add to the loss: a list of scalars.

    Raises:
        SettingError: a layer of the cell adds a loss of its activations.
    """
    adding = adding_losses(cell)
    if adding:
        raise SettingError(
            f"OptimizerTrainer: layer {adding[0].name!r} of the cell adds a loss of its "
            "activations (add_loss, or an activity_regularizer), which a run would count wrongly; "
            "leave it out. Regularisers of weights are taken into account."
        )
    return [v.regularizer(v) for v in variables if v.regularizer is not None]


def truncation(trainer, data):
    """Pairs `(seed, step)` of int64 scalars, one an optimization of an element of `truncations`.

    Raises:
        SettingError: the data are not of that kind, or made for truncations of another length or
            for another meta-batch, or there are fewer weights than steps of an optimization.
    """
    seeds, steps = _vectors(trainer, data, "truncations", "seed", "step", "lengths")
    length, horizon, _ = data["lengths"].shape
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if len(seeds) * replicas != trainer.meta_batch:
        raise SettingError(
            f"{type(trainer).__name__}: meta_batch={trainer.meta_batch}, but the truncations are "
            f"of {len(seeds) * replicas} optimizations."
        )
    _check_length(trainer, length)
    check_enough(trainer.loss_weights, f"an optimization of {horizon} steps", horizon)
    return list(zip(seeds, steps, strict=True))


def task_truncation(trainer, data):
    """`(task, seed, step, horizon, told)`, int64 scalars, of one element of `task_truncations`.

    Raises:
        SettingError: the data are not of that kind, or made for truncations of another length.
    """
    names = "task", "seed", "step", "horizon", "told", "unroll_steps"
    *found, length = (value for [value] in _vectors(trainer, data, "task_truncations", *names))
    _check_length(trainer, int(length) or None)
    return found


def task_optimization(trainer, data):
    """`(task, seed, horizon, told)`, int64 scalars, of one element of `task_validation`.

    Raises:
        SettingError: the data are not of that kind.
    """
    names = "task", "seed", "horizon", "told"
    return [value for [value] in _vectors(trainer, data, "task_validation", *names)]


def _check_length(trainer, length):
    """Raises a `SettingError` unless a trainer's truncations have that length."""
    if length != trainer.unroll_steps:
        raise SettingError(
            f"{type(trainer).__name__}: unroll_steps={trainer.unroll_steps}, but the truncations "
            f"were made with unroll_steps={length}."
        )


def optimization(trainer, data):
    """The seed, an int64 scalar, of one element of `validation_optimizations`.

    Raises:
        SettingError: the data are not of that kind.
    """
    [[seed]] = _vectors(trainer, data, "validation_optimizations", "seed")
    return seed


def check_enough(loss_weights, what, steps):
    """Raises a `SettingError` if there are fewer weights than `steps`, those of `what`."""
    if loss_weights is not None and len(loss_weights) < steps:
        raise SettingError(
            f"OptimizerTrainer: {what} is longer than loss_weights, of which there are "
            f"{len(loss_weights)}."
        )


def _vectors(trainer, data, maker, *names):
    """Lists of int64 scalars, all but `lengths`, of data that have exactly these names."""
    right = isinstance(data, dict) and set(data) == set(names)
    shapes = {name: data[name].shape for name in names} if right else {}
    # Batches have an axis more, and generators of Keras one of unknown length.
    if not right or any(
        len(shape) != (3 if name == "lengths" else 1)
        or None in tuple(shape)
        or (name == "lengths" and tf.TensorShape(shape).num_elements())
        or (name != "lengths" and maker != "truncations" and shape[0] != 1)
        for name, shape in shapes.items()
    ):
        raise SettingError(
            f"{type(trainer).__name__}: `x` must be what {maker} gives, the tf.data.Dataset of "
            f"dicts of {' and '.join(names)} itself, not batched, without targets and weights."
        )
    return [tf.unstack(tf.cast(data[name], tf.int64)) for name in names if name != "lengths"]
