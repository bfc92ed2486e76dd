"""The settings of an `OptimizerTrainer` that are its own, and what it takes of Keras."""

import math

import numpy as np
import tensorflow as tf

from meta_keras.arguments import real, refusal
from meta_keras.batch_norm import adding_losses
from meta_keras.errors import SettingError
from meta_keras.layers.cell import Cell
from meta_keras.layers.full_precision import full_precision


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
    """Weights of a trainer, not trained, that hold a nest of tensors from step to step: a list."""
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


def refuse(**given):
    """Raises a `SettingError` if one of `given`, arguments of Keras, is not None."""
    for name, value in given.items():
        if value is not None:
            raise SettingError(
                f"OptimizerTrainer: {name}={value!r} means nothing here: the loss is that of the "
                "problem, weighted by the trainer's own loss_weights."
            )


def refuse_replicas(strategy):
    """Raises a `SettingError` if a `tf.distribute.Strategy` has several replicas."""
    if strategy.num_replicas_in_sync > 1:
        raise SettingError(
            "OptimizerTrainer: one replica only, as a truncation carries on what the one before it "
            f"left; the tf.distribute strategy has {strategy.num_replicas_in_sync}."
        )


def need(x, maker):
    """Raises a `SettingError` if there are no data; `maker` is the function that makes them."""
    if x is None:
        raise SettingError(f"OptimizerTrainer: `x` is missing, it must be what {maker} gives.")


def truncation(data, unroll_steps, loss_weights):
    """`(seed, step)`, int64 scalars, of one element of `truncations`.

    Raises:
        SettingError: the data are not of that kind, or made for truncations of another length, or
            there are fewer weights than steps of an optimization.
    """
    seed, step = _scalars(data, "truncations", "seed", "step", "lengths")
    length, horizon, _ = data["lengths"].shape
    if length != unroll_steps:
        raise SettingError(
            f"OptimizerTrainer: unroll_steps={unroll_steps}, but the truncations were made with "
            f"unroll_steps={length}."
        )
    check_enough(loss_weights, f"an optimization of {horizon} steps", horizon)
    return seed, step


def optimization(data):
    """The seed, an int64 scalar, of one element of `validation_optimizations`.

    Raises:
        SettingError: the data are not of that kind.
    """
    return _scalars(data, "validation_optimizations", "seed")[0]


def check_enough(loss_weights, what, steps):
    """Raises a `SettingError` if there are fewer weights than `steps`, those of `what`."""
    if loss_weights is not None and len(loss_weights) < steps:
        raise SettingError(
            f"OptimizerTrainer: {what} is longer than loss_weights, of which there are "
            f"{len(loss_weights)}."
        )


RANKS = {"seed": 1, "step": 1, "lengths": 3}


def _scalars(data, maker, *names):
    """The int64 scalars, all but `lengths`, of data that have exactly these names."""
    right = isinstance(data, dict) and set(data) == set(names)
    shapes = {name: data[name].shape for name in names} if right else {}
    # Batches have an axis more, and generators of Keras one of unknown length.
    if not right or any(
        len(shape) != RANKS[name]
        or None in tuple(shape)
        or tf.TensorShape(shape).num_elements() > 1
        for name, shape in shapes.items()
    ):
        raise SettingError(
            f"OptimizerTrainer: `x` must be what {maker} gives, the tf.data.Dataset of dicts of "
            f"{' and '.join(names)} itself, not batched, without targets and weights."
        )
    return [tf.cast(tf.reshape(data[name], []), tf.int64) for name in names if name != "lengths"]
