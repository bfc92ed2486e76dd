"""Gradient checkpointing: runs of many steps whose derivative takes little memory."""

import math

import tensorflow as tf

from meta_keras.unroll import Unrolled, unroll


def unroll_recomputed(cell, loss_fn, parameters, steps, carry=(), state=None, second_order=False):
    """`unroll` in segments of about sqrt(steps) steps, of which a derivative stores the ends only.

    The inside of a segment is computed once more when its derivative is taken (Chen, Xu, Zhang &
    Guestrin 2016, "Training deep nets with sublinear memory cost",
    https://arxiv.org/abs/1604.06174). The derivatives are the same, for memory of order
    sqrt(steps) and one more forward run. It saves memory inside a `tf.function` only.

    Args:
        loss_fn: as for `unroll`. It is called twice a step and must give the same both times, and
            no outer derivative goes to tensors it closes over (to variables it does).
        cell, parameters, steps, carry, state, second_order: as for `unroll`.

    Returns:
        An `Unrolled` whose `states` are those at the ends of the segments.
    """
    state = cell.initial_state(parameters) if state is None else state
    losses, states = [], []
    length = max(1, math.isqrt(steps))
    for first in range(0, steps, length):

        def segment(parameters, state, carry, first=first):
            return unroll(
                cell,
                lambda theta, step, carry: loss_fn(theta, first + step, carry),
                parameters,
                min(length, steps - first),
                carry,
                state,
                second_order,
            )[:4]

        parameters, state, carry, new_losses = recomputed(segment, (parameters, state, carry))
        losses += new_losses
        states.append(state)
    return Unrolled(parameters, state, carry, losses, states)


def recomputed(function, arguments):
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
