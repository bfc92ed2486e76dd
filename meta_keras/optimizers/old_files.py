"""Reads trainers and optimizers that were saved before problems had the scale of coordinates."""

import numpy as np

from meta_keras.errors import SettingError


def refuse_random_scale():
    raise SettingError(
        "random_scale: this trainer was trained with random scaling inside, which "
        "cannot be continued: train in a new folder; the optimizer of a finished run is the "
        "preset `optimizer` in its folder."
    )


def without_scale(carried):
    """Carried values without number 1, the scale of every coordinate, which problems now have.

    Raises:
        SettingError: the coordinates were scaled.
    """
    theta, scale, *state = carried
    if np.ptp(scale):
        refuse_random_scale()
    return [theta, *state]


def without_unused_means(arrays):
    """A state's leaves without the empty means and the count of steps that every
    `CoordinatewiseLSTM` had, whether its preprocessing used them or not."""
    shapes = [np.shape(array) for array in arrays]
    unused = [n for n in range(len(arrays)) if shapes[n : n + 3] == [(0,), (0,), ()]]
    return [a for n, a in enumerate(arrays) if not {n, n - 1, n - 2}.intersection(unused)]
