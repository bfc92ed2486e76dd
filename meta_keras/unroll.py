"""The one inner loop: a cell run for some steps on a loss, differentiable from end to end."""

from typing import Any, NamedTuple

import tensorflow as tf


class Unrolled(NamedTuple):
    """What a run of a cell leaves behind.

    Attributes:
        parameters: parameters after the last step, `[P]`.
        state: the cell's state after the last step.
        carry: the loss function's own state after the last step.
        losses: list of scalars; entry t is the loss before step t changes the parameters. Their
            derivatives by the parameters are right in either order.
        states: list of the cell's states, one after every step (of `unroll_recomputed` only those
            at the ends of its segments).
    """

    parameters: tf.Tensor
    state: Any
    carry: Any
    losses: list
    states: list


def unroll(cell, loss_fn, parameters, steps, carry=(), state=None, second_order=False):
    """Runs `cell` for `steps` steps on `loss_fn`, starting from `parameters`.

        loss_t, grad_t = loss_fn(theta_{t-1}), its gradient
        theta_t, state_t = cell(grad_t, loss_t, theta_{t-1}, state_{t-1})

    The loop is unrolled in Python, so under `tf.function` the run is one graph.

    Args:
        cell: a `meta_keras.layers.Cell`.
        loss_fn: `(parameters [P], step, carry) -> (scalar loss, carry)`; `step` is a Python int.
        parameters: float tensor `[P]`.
        steps: number of steps, a Python int.
        carry: initial state of `loss_fn` (for example batch-normalisation statistics).
        state: initial state of the cell; `cell.initial_state(parameters)` by default.
        second_order: if false, gradients and losses enter the cell as constants, as Andrychowicz
            et al. 2016 (https://arxiv.org/abs/1606.04474, figure 2) and Ravi & Larochelle 2017
            (https://openreview.net/forum?id=rJY0-Kcll, section 3.3) train; if true, the outer
            derivative also goes through them.

    Returns:
        An `Unrolled`.
    """
    state = cell.initial_state(parameters) if state is None else state
    losses, states = [], []
    for step in range(steps):
        # As constants, the losses' own graphs are invisible to an outer tape: nothing of them
        # is stored, and the outer derivative runs through the cell alone.
        point = parameters if second_order else tf.stop_gradient(parameters)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(point)
            loss, carry = loss_fn(point, step, carry)
        gradient = tape.gradient(loss, point)
        losses.append(loss if second_order else _attach(loss, gradient, parameters))
        parameters, state = cell(gradient, loss, parameters, state)
        states.append(state)
    return Unrolled(parameters, state, carry, losses, states)


def _attach(loss, gradient, parameters):
    """The loss as a function of the parameters again: its gradient is known, nothing is redone."""
    return loss + tf.tensordot(gradient, parameters - tf.stop_gradient(parameters), 1)
