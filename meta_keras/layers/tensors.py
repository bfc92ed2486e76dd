"""The variables that flat coordinates come from: sums over them, and what their shapes tell."""

import math

import numpy as np
import tensorflow as tf

SHAPE_FEATURES = 9


class Tensors:
    """The variables that `P` flat coordinates come from, in order.

    Args:
        shapes: list of T shapes.

    Attributes:
        sizes: list of their numbers of coordinates.
        matrices: list of `(rows, columns)`, None for a vector; the kernel of a convolution is taken
            as the matrix from its patches to its outputs.

    Example:

    >>> tensors = Tensors([(2, 2), (3,)])
    >>> tensors.means(tf.constant([1.0, 2.0, 3.0, 6.0, 0.0, 0.0, 3.0])).numpy().tolist()
    [3.0, 1.0]
    >>> tensors.spread(tf.constant([3.0, 1.0]), 1, 6).numpy().tolist()
    [3.0, 3.0, 3.0, 1.0, 1.0]
    """

    def __init__(self, shapes):
        self.shapes = [tuple(shape) for shape in shapes]
        self.sizes = [math.prod(shape) for shape in self.shapes]
        self.matrices = [
            (math.prod(shape[:-1]), shape[-1]) if len(shape) > 1 else None for shape in self.shapes
        ]

    def __len__(self):
        return len(self.shapes)

    def means(self, values):
        """Means over the coordinates of every tensor: `[..., P]` -> `[..., T]`."""
        parts = tf.split(values, self.sizes, axis=-1)
        return tf.stack([tf.reduce_mean(part, axis=-1) for part in parts], axis=-1)

    def spread(self, values, start=0, stop=None):
        """Gives the coordinates from `start` to `stop` what is their tensor's.

        `[..., T]` -> `[..., stop - start]`.
        """
        ends = np.cumsum(self.sizes)
        begins = ends - self.sizes
        stop = ends[-1] if stop is None else stop
        counts = np.clip(np.minimum(ends, stop) - np.maximum(begins, start), 0, None)
        lead = values.shape[:-1].as_list()
        return tf.concat(
            [
                tf.broadcast_to(values[..., number : number + 1], [*lead, count])
                for number, count in enumerate(counts)
                if count
            ],
            axis=-1,
        )

    def features(self, dtype):
        """What the shapes tell of every tensor: `[9, T]`.

        log(fan_in) / 5, log(fan_out) / 5, log(size) / 10,      fan_in of a vector: 1
        1 for a vector, 1 for a matrix, 1 for a tensor of more axes,
        place among the others from 0 to 1, 1 for the last two, log(T) / 3
        """
        count, features = len(self), []
        for place, (shape, size, matrix) in enumerate(
            zip(self.shapes, self.sizes, self.matrices, strict=True)
        ):
            fan_in, fan_out = matrix or (1, size)
            features.append(
                [
                    math.log(max(fan_in, 1)) / 5,
                    math.log(max(fan_out, 1)) / 5,
                    math.log(max(size, 1)) / 10,
                    len(shape) < 2,
                    len(shape) == 2,
                    len(shape) > 2,
                    place / max(1, count - 1),
                    place >= count - 2,
                    math.log(count) / 3,
                ]
            )
        return tf.constant(np.array(features, np.float64).T, dtype)
