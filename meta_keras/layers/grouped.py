"""Several cells side by side, each for its own group of a model's variables."""

import math

import keras
import tensorflow as tf

from meta_keras.arguments import Part
from meta_keras.errors import SettingError
from meta_keras.layers.cell import Cell


@keras.saving.register_keras_serializable(package="meta_keras")
def is_convolution_kernel(variable):
    """Whether a variable is the kernel of a convolution: it has three dimensions or more."""
    return len(variable.shape) >= 3


@keras.saving.register_keras_serializable(package="meta_keras")
class GroupedCell(Cell):
    """A cell of its own for every group of variables, as for the convolutions and the dense layers
    of a network in Andrychowicz et al. 2016, section 3.3, https://arxiv.org/abs/1606.04474

    Args:
        cells: list of `Cell`s, one a group.
        predicates: one function fewer than cells, `variable -> bool`, where a variable has `shape`
            and `path`. A variable belongs to the first cell whose predicate holds, and to the last
            cell if none does. Functions must be registered
            (`keras.saving.register_keras_serializable`) to be saved.
        assignment: list of `[size, group]`, one a variable: what `prepare` finds out, for loading.
        dtype: that of the cells, by default and by rule.

    Raises:
        ValueError: the numbers of cells and predicates do not fit, the cells' dtypes differ, or the
            cell is used before `prepare` has told it of its variables, or for other ones.

    Example:

    >>> from meta_keras.layers import GradientDescentCell
    >>> cells = [GradientDescentCell(0.1), GradientDescentCell(1.0)]
    >>> cell = GroupedCell(cells, [is_convolution_kernel])
    >>> cell.prepare([keras.Variable(keras.ops.ones((1, 1, 2))), keras.Variable([1.0])])
    >>> ones = keras.ops.ones(3)
    >>> theta, state = cell(ones, keras.ops.zeros(()), ones, cell.initial_state(ones))
    >>> [round(float(value), 3) for value in theta]
    [0.9, 0.9, 0.0]
    """

    cells = Part()
    predicates = Part()

    def __init__(self, cells, predicates, assignment=None, dtype=None, **kwargs):
        if len(cells) < 2 or len(predicates) != len(cells) - 1:
            raise ValueError(
                f"GroupedCell: {len(cells)} cells need {len(cells) - 1} predicates (and at least "
                f"two cells are needed), got {len(predicates)} predicates."
            )
        super().__init__(dtype=cells[0].dtype_policy if dtype is None else dtype, **kwargs)
        others = {cell.compute_dtype for cell in cells} - {self.compute_dtype}
        if others:
            raise SettingError(
                f"GroupedCell: dtype={self.compute_dtype!r}, but there are cells of "
                f"{', '.join(sorted(others))}; all must have the same."
            )
        self.cells = list(cells)
        self.predicates = list(predicates)
        self.assignment = assignment

    def prepare(self, variables):
        self.assignment = [
            [
                math.prod(variable.shape),
                next((g for g, holds in enumerate(self.predicates) if holds(variable)), -1)
                % len(self.cells),
            ]
            for variable in variables
        ]
        for group, cell in enumerate(self.cells):
            pairs = zip(variables, self.assignment, strict=True)
            cell.prepare([variable for variable, (_, own) in pairs if own == group])

    def build(self, parameters_shape):
        for cell in self.cells:
            cell.build_once()

    def _divide(self, flat):
        """`[P]` -> list of the groups' coordinates, `[P_g]` each."""
        if self.assignment is None:
            raise ValueError("GroupedCell: call prepare(variables) first; it has no groups yet.")
        sizes = [size for size, _ in self.assignment]
        if flat.shape[0] is not None and flat.shape[0] != sum(sizes):
            raise ValueError(
                f"GroupedCell: it was prepared for {sum(sizes)} coordinates, not {flat.shape[0]}."
            )
        parts = tf.split(flat, sizes)
        return [
            tf.concat(
                [flat[:0]]
                + [p for p, (_, g) in zip(parts, self.assignment, strict=True) if g == group],
                axis=0,
            )
            for group in range(len(self.cells))
        ]

    def _join(self, groups):
        """The inverse of `_divide`."""
        pieces = [
            iter(tf.split(flat, [size for size, g in self.assignment if g == group]))
            if any(g == group for _, g in self.assignment)
            else iter(())
            for group, flat in enumerate(groups)
        ]
        return tf.concat([next(pieces[group]) for _, group in self.assignment], axis=0)

    def initial_state(self, parameters):
        parts = self._divide(parameters)
        return tuple(cell.initial_state(part) for cell, part in zip(self.cells, parts, strict=True))

    def for_horizon(self, state, steps):
        parts = zip(self.cells, state, strict=True)
        return tuple(cell.for_horizon(part, steps) for cell, part in parts)

    def select(self, moved, after, before):
        parts = zip(self.cells, self._divide(moved), after, before, strict=True)
        return tuple(cell.select(*part) for cell, *part in parts)

    def observables(self, state):
        return {
            f"{name}_of_group_{group}": value
            for group, (cell, part) in enumerate(zip(self.cells, state, strict=True))
            for name, value in cell.observables(part).items()
        }

    def call(self, gradient, loss, parameters, state):
        gradients, groups = self._divide(gradient), self._divide(parameters)
        after = [
            cell(g, loss, theta, part)
            for cell, g, theta, part in zip(self.cells, gradients, groups, state, strict=True)
        ]
        return self._join([theta for theta, _ in after]), tuple(part for _, part in after)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "cells": [serialize(cell) for cell in self.cells],
            "predicates": [serialize(predicate) for predicate in self.predicates],
            "assignment": self.assignment,
        }

    @classmethod
    def from_config(cls, config):
        deserialize = keras.saving.deserialize_keras_object
        return cls(
            **{
                **config,
                "cells": [deserialize(cell) for cell in config["cells"]],
                "predicates": [deserialize(predicate) for predicate in config["predicates"]],
            }
        )
