"""Two estimates of how the loss of a truncation depends on the weights of a cell."""

import tensorflow as tf

from meta_keras.layers.scale_free import soft_clip
from meta_keras.problems import draws


def backpropagated(meta_loss, cell, runs, offsets, noise, limit=None):
    """The derivative through the steps of the truncation; what lies before them is constant.

    Args:
        meta_loss: function of a run `(parameters, state)` to `(loss, run, worst)`: of a truncation,
            its loss, where it ends, and the largest loss of a step.
        cell: a `Cell`, whose trainable weights `meta_loss` reads.
        runs: a list of one run.
        offsets, noise: not looked at, nor is a limit.

    Returns:
        `(loss, gradients, runs, offsets, worst)`: the gradients by the cell's trainable weights,
        a list; the rest for the next truncation.
    """
    with tf.GradientTape() as tape:
        loss, run, worst = meta_loss(runs[0])
    return loss, tape.gradient(loss, cell.trainable_variables), [run], offsets, worst


def evolved(meta_loss, cell, runs, offsets, noise, limit=None):
    """Persistent evolution strategies, with pairs of particles that are perturbed oppositely.

        eps_i ~ N(0, sigma^2)        xi_i <- xi_i + eps_i
        g = 1 / (2 n sigma^2) sum_i xi_i (L(phi + eps_i) - L(phi - eps_i))

    Every particle goes on from where its last truncation has left it, with all its perturbations
    so far, so that g is an unbiased estimate of the gradient of the whole optimization's loss,
    smoothed by sigma, without any derivative. Vicol, Metz & Sohl-Dickstein 2021, "Unbiased gradient
    estimation in unrolled computation graphs with persistent evolution strategies", algorithm 2,
    https://arxiv.org/abs/2112.13835

    Args:
        meta_loss, cell: as in `backpropagated`. The weights are as before afterwards.
        runs: list of n pairs of runs.
        offsets: list of n lists of xi, of the shapes of the weights; 0 when an optimization begins.
        noise: `(sigma, seed)`: a float, and int64 `[2]`, that of the perturbations.
        limit: where the difference of a pair's losses is softly clipped, so that no task outweighs
            the others; None: nowhere, which alone is unbiased.

    Returns:
        As `backpropagated`; the loss is the mean over the particles.
    """
    sigma, seed = noise
    variables = cell.trainable_variables
    phi = [tf.convert_to_tensor(variable) for variable in variables]
    gradients = [tf.zeros_like(value) for value in phi]
    after, moved, losses, worst = [], [], [], []
    for i, (pair, xi) in enumerate(zip(runs, offsets, strict=True)):
        eps = [
            sigma
            * tf.cast(
                draws.normal(value.shape, draws.fold_in(seed, 1000 * i + number)), value.dtype
            )
            for number, value in enumerate(phi)
        ]
        found = []
        for sign, run in zip((1.0, -1.0), pair, strict=True):
            for variable, value, change in zip(variables, phi, eps, strict=True):
                variable.assign(value + sign * change)
            found.append(meta_loss(run))
        xi = [x + change for x, change in zip(xi, eps, strict=True)]
        difference = found[0][0] - found[1][0]
        if limit is not None:
            difference = soft_clip(difference, limit)
        slope = difference / (2.0 * len(runs) * sigma**2)
        gradients = [g + slope * x for g, x in zip(gradients, xi, strict=True)]
        after.append(tuple(run for _, run, _ in found))
        moved.append(xi)
        losses += [loss for loss, _, _ in found]
        worst += [value for _, _, value in found]
    for variable, value in zip(variables, phi, strict=True):
        variable.assign(value)
    return tf.reduce_mean(losses), gradients, after, moved, tf.reduce_max(worst)
