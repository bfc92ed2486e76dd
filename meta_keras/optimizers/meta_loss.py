"""The loss of a truncation, by which cells are trained on many tasks."""

import functools

import tensorflow as tf

from meta_keras.unroll import unroll

FLOOR = 0.003  # Of f / f_0: what is less is no longer much better.


def meta_loss(cell, task, run, first, place, steps, looped, second_order):
    """L of one truncation.

        L = 1/T sum_t w_t log(f(theta_t) / f(theta_0) + 0.003),      w_t = 1/5 + 16/5 (t/N)^3

    Args:
        cell: a `Cell`.
        task: a `Problem`.
        run: `(parameters, state)` to go on from.
        first: f(theta_0).
        place: `(seed, step, N)`, int64 scalars: the optimization, its steps so far, and its length.
        steps: T, an int; of a loop an int64 scalar may be.
        looped: whether it is a loop, which is quickly traced and whose steps are not kept; else the
            steps stand one after the other, and a tape can differentiate through them.
        second_order: whether also through the gradients that the cell sees.

    Returns:
        `(loss, run, worst)`: scalar, where the truncation ends, and the largest f / f_0 in it.
    """
    seed, step, horizon = place

    # A function of its own: one step is traced, differentiated and optimized, not T.
    @tf.function(experimental_attributes={"_noinline": True})
    def one_step(theta, state, t):
        def loss_fn(point, _, carry):
            return task.loss(point, seed, t), carry

        done = unroll(cell, loss_fn, theta, 1, state=state, second_order=second_order)
        return done.losses[0], done.parameters, done.state

    def weighted(loss, t):
        """What the loss after t steps counts, before it is divided by T."""
        weight = 0.2 + 3.2 * (tf.cast(t, loss.dtype) / tf.cast(horizon, loss.dtype)) ** 3
        return weight * tf.math.log(loss / first + FLOOR)

    def add(t, theta, state, total, worst):
        loss, theta, state = one_step(theta, state, t)
        # That before the truncation's first step was its predecessor's.
        counts = tf.where(t > step, weighted(loss, t), tf.zeros_like(loss))
        return t + 1, theta, state, total + counts, tf.maximum(worst, loss / first)

    zero = tf.zeros_like(first)
    passed = step, *run, zero, zero
    if looped:
        passed = tf.while_loop(lambda t, *_: t < step + steps, add, passed)
    else:
        passed = functools.reduce(lambda passed, _: add(*passed), range(steps), passed)
    _, theta, state, total, worst = passed
    last = task.loss(theta, seed, step + steps)
    total += weighted(last, step + steps)
    return total / tf.cast(steps, total.dtype), (theta, state), tf.maximum(worst, last / first)
