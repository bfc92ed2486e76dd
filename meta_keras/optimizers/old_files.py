"""Reads trainers and optimizers that were saved before problems had the scale of coordinates."""

import numpy as np


def without_scale(carried):
    """Carried values without number 1, the scale of every coordinate, which problems now have.

    `RandomlyScaled` draws the same factors, so that such a training goes on.
    """
    theta, _, *state = carried
    return [theta, *state]


def without_unused_means(arrays):
    """A state's leaves without the empty means and the count of steps that every
    `CoordinatewiseLSTM` had, whether its preprocessing used them or not."""
    shapes = [np.shape(array) for array in arrays]
    unused = [n for n in range(len(arrays)) if shapes[n : n + 3] == [(0,), (0,), ()]]
    return [a for n, a in enumerate(arrays) if not {n, n - 1, n - 2}.intersection(unused)]
