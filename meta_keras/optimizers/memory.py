"""What a learned optimizer will take, said before it is taken."""

import math
import warnings

import tensorflow as tf

MUCH = 2**30  # bytes of memory that somebody should know of beforehand


def state_bytes(cell, size):
    """Bytes of a cell's state for `size` coordinates, of which none is allocated.

    Args:
        cell: a built `meta_keras.layers.Cell`, prepared for its variables.
        size: P.

    Example:

    >>> from meta_keras.layers import AdamCell
    >>> state_bytes(AdamCell(), 1000)  # two numbers a coordinate, and the count of steps
    8004
    """
    parameters = tf.TensorSpec([size], cell.compute_dtype)
    state = tf.function(cell.initial_state).get_concrete_function(parameters).structured_outputs
    return sum(math.prod(leaf.shape) * leaf.dtype.size for leaf in tf.nest.flatten(state))


def warn_of_memory(cell, size):
    """Warns if a cell's state for `size` coordinates and a step with it take more than `MUCH`."""
    state = state_bytes(cell, size)
    total = state * (1 + max(part.step_sizes for part in getattr(cell, "cells", [cell])))
    if total > MUCH:
        warnings.warn(
            f"LearnedOptimizer: its state takes {state / size:.0f} bytes a weight, for {size:,} "
            f"weights {state / 2**30:.2f} GiB, and {total / 2**30:.1f} GiB with what a step needs; "
            "Adam keeps 8 bytes a weight.",
            stacklevel=2,
        )
