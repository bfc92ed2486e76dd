"""The one inner loop: a cell run for some steps on a loss, differentiable from end to end."""

import math
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
        states: list of the cell's states, one after every step; with `recompute` only those at
            the ends of its segments are kept.
    """

    parameters: tf.Tensor
    state: Any
    carry: Any
    losses: list
    states: list


def unroll(
    cell,
    loss_fn,
    parameters,
    steps,
    carry=(),
    state=None,
    second_order=False,
    gradient_scale=1.0,
    recompute=False,
):
    """Runs `cell` for `steps` steps on `loss_fn`, starting from `parameters`.

        loss_t, grad_t = loss_fn(theta_{t-1}), its gradient
        theta_t, state_t = cell(grad_t, loss_t, theta_{t-1}, state_{t-1})

    The loop is unrolled in Python, so under `tf.function` the run is one graph.

    Args:
        cell: a `meta_keras.layers.Cell`.
        loss_fn: `(parameters [P], step, carry) -> (scalar loss, carry)`; `step` is a Python int.
            With `recompute` it is called twice a step and must give the same both times, and no
            outer derivative goes to tensors it closes over (to variables it does).
        parameters: float tensor `[P]`.
        steps: number of steps, a Python int.
        carry: initial state of `loss_fn` (for example batch-normalisation statistics).
        state: initial state of the cell; `cell.initial_state(parameters)` by default.
        second_order: if false, gradients and losses enter the cell as constants, as both papers
            train; if true, the outer derivative also goes through them.
        gradient_scale: factor on the gradient before the cell sees it.
        recompute: if true, the run is cut into segments of about sqrt(steps) steps of which the
            outer derivative stores the ends only and computes the inside once more (gradient
            checkpointing: Chen et al. 2016, "Training deep nets with sublinear memory cost"). The
            derivatives are the same, for memory of order sqrt(steps) and one more forward run.
            It saves memory inside a `tf.function` only.

    Returns:
        An `Unrolled`.
    """

    def run(first, count, parameters, state, carry):
        losses, states = [], []
        for step in range(first, first + count):
            # As constants, the losses' own graphs are invisible to an outer tape: nothing of them
            # is stored, and the outer derivative runs through the cell alone.
            point = parameters if second_order else tf.stop_gradient(parameters)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(point)
                loss, carry = loss_fn(point, step, carry)
            gradient = tape.gradient(loss, point)
            losses.append(loss if second_order else _attach(loss, gradient, parameters))
            if gradient_scale != 1.0:
                gradient = gradient * gradient_scale
            parameters, state = cell(gradient, loss, parameters, state)
            states.append(state)
        return Unrolled(parameters, state, carry, losses, states)

    state = cell.initial_state(parameters) if state is None else state
    if not recompute:
        return run(0, steps, parameters, state, carry)
    losses, states = [], []
    length = max(1, math.isqrt(steps))
    for first in range(0, steps, length):
        count = min(length, steps - first)
        parameters, state, carry, new_losses = _recomputed(
            lambda *begin, first=first, count=count: run(first, count, *begin)[:4],
            (parameters, state, carry),
        )
        losses += new_losses
        states.append(state)
    return Unrolled(parameters, state, carry, losses, states)


def _attach(loss, gradient, parameters):
    """The loss as a function of the parameters again: its gradient is known, nothing is redone."""
    return loss + tf.tensordot(gradient, parameters - tf.stop_gradient(parameters), 1)


def _recomputed(function, arguments):
    """`function(*arguments)`, of which a derivative stores the arguments and nothing else.

    `tf.recompute_grad` does not serve: it stops all tapes, those inside `function` too.

    Args:
        function: pure, from nests of tensors to a nest of tensors.
        arguments: tuple of nests of tensors.
    """
    results = []  # the last nest of results, for its structure

    def flat_function(*flat):
        results[:] = [function(*tf.nest.pack_sequence_as(arguments, flat))]
        return tf.nest.flatten(results[0])

    @tf.custom_gradient
    def forward(*flat):
        def gradient(*upstream, variables=()):
            # The second run must wait for the derivatives of what comes after it.
            with tf.control_dependencies([u for u in upstream if u is not None]):
                again = [tf.identity(x) for x in flat]
            with tf.GradientTape() as tape:
                tape.watch(again)
                outputs = flat_function(*again)
            sources = [*again, *variables]
            gradients = tape.gradient(outputs, sources, output_gradients=upstream)
            to_arguments, to_variables = gradients[: len(again)], gradients[len(again) :]
            # And what comes before must wait for the variables' share, which nothing else needs
            # soon: put off, it would hold on to the whole segment.
            with tf.control_dependencies([g for g in to_variables if g is not None]):
                to_arguments = [None if g is None else tf.identity(g) for g in to_arguments]
            return to_arguments, to_variables

        return flat_function(*(tf.stop_gradient(x) for x in flat)), gradient

    flat = forward(*tf.nest.flatten(arguments))
    return tf.nest.pack_sequence_as(results[0], flat)
