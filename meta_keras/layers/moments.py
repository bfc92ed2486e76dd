"""Running means of gradients and of their squares, some of them kept for rows and columns alone."""

import tensorflow as tf

from meta_keras.layers.root import smallest_normal


def running_mean(values, before, beta, step):
    """beta before + (1 - beta) values, and the same over 1 - beta^t, what it is short of.

    Args:
        values: `[..., P]`.
        before: of the shape of the result.
        beta: decay, a scalar or a column of them.
        step: float scalar t, 1 at the first step.

    Returns:
        `(mean, corrected mean)`.
    """
    mean = beta * before + (1.0 - beta) * values
    return mean, mean / (1.0 - beta**step)


def factored_root(squares, tensors, rows, columns, beta, step):
    """The root of a second moment of which no more than rows and columns are kept.

        R_t = beta R_{t-1} + (1 - beta) mean_j grad_ij^2        V_ij = R_i C_j / mean_i R_i
        C_t = beta C_{t-1} + (1 - beta) mean_i grad_ij^2        root_ij = sqrt(V_ij / (1 - beta^t))

    Shazeer & Stern 2018, "Adafactor: adaptive learning rates with sublinear memory cost",
    section 3, https://arxiv.org/abs/1804.04235

    Args:
        squares: squares of the gradient `[P]`.
        tensors: `Tensors`.
        rows, columns: tuples of R `[rows]` and C `[columns]`, one for every matrix.
        beta: decay.
        step: float scalar t, 1 at the first step.

    Returns:
        `(root, rows, columns)`: `[P]`, 0 for a vector's coordinates; and the new tuples.
    """
    before = iter(zip(rows, columns, strict=True))
    roots, rows, columns = [], [], []
    for part, matrix in zip(tf.split(squares, tensors.sizes), tensors.matrices, strict=True):
        if matrix is None:
            roots.append(tf.zeros_like(part))
            continue
        part, (row, column) = tf.reshape(part, matrix), next(before)
        row, row_hat = running_mean(tf.reduce_mean(part, axis=1), row, beta, step)
        column, column_hat = running_mean(tf.reduce_mean(part, axis=0), column, beta, step)
        ratio = safe_root(column_hat) / safe_root(tf.reduce_mean(row_hat))
        roots.append(tf.reshape(safe_root(row_hat)[:, None] * ratio, [-1]))
        rows.append(row)
        columns.append(column)
    return tf.concat(roots, axis=0), tuple(rows), tuple(columns)


def safe_root(squares, epsilon=1e-8):
    """sqrt(x) + epsilon for x >= 0, with the derivative 0 where x is next to nothing."""
    return tf.sqrt(tf.maximum(squares, max(1e-30, smallest_normal(squares.dtype)))) + epsilon
