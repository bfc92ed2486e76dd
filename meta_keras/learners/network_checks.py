"""What a network must be to be adapted."""

import numpy as np

from meta_keras.batch_norm import all_layers
from meta_keras.functional import (
    ends_in_sigmoid,
    gives_probabilities,
    head_of,
    may_be_probabilities,
    observe,
    random_inputs,
)
from meta_keras.measures import name_of, takes_of_outputs


def check_adaptable(learner, network, inner_loss):
    """Refuses networks that an inner loop would not adapt as they declare.

    What a network does is found out by running it, if it tells the shape of its input.

    Args:
        learner: name of the learner, for messages.
        network: a built `keras.Model`.
        inner_loss: a `keras.losses.Loss`.

    Raises:
        ValueError: it gives something else than `[batch, N]`, draws random numbers, adds losses of
            its activations, has state of its own (that of batch normalisation is known), or gives
            probabilities where logits are taken, or the other way round.
    """
    name = f"{learner}: network {network.name!r}"
    # A subclassed model does not know its output shape.
    outputs = getattr(network, "outputs", None)
    if outputs is not None and (len(outputs) != 1 or len(outputs[0].shape) != 2):
        raise ValueError(
            f"{name} must map images to logits [batch, N], but gives "
            f"{', '.join(str(tuple(output.shape)) for output in outputs)}."
        )
    inputs = random_inputs(network)
    if inputs is None:
        return
    found = observe(network, inputs)
    if found.random:
        raise ValueError(
            f"{name} draws random numbers in training ({', '.join(found.random)}); that cannot be "
            "part of an adaptation that must be repeatable (dropout: leave it out)."
        )
    if found.adds_losses:
        raise ValueError(
            f"{name}: {', '.join(found.adds_losses)} adds a loss of its activations (an "
            "activity_regularizer, or add_loss), which the inner loop does not see; leave it out. "
            "Regularisers of weights are taken into account."
        )
    if found.changes:
        raise ValueError(
            f"{name} has state that changes as it runs ({', '.join(found.changes)}), which would "
            "start anew in every episode; leave it out."
        )
    check_outputs(learner, network, inner_loss)


def check_head(learner, flat):
    """Refuses a network whose outputs do not all come out of its head.

    Args:
        learner: name of the learner, for messages.
        flat: the network as a `FlatNetwork` whose parameters are those of its head.

    Raises:
        ValueError: without the head's weights, outputs still depend on the inputs.
    """
    inputs = random_inputs(flat.network)
    outputs, _ = flat(0 * flat.parameters(), flat.state(), inputs, training=False)
    if np.ptp(outputs, axis=0).any():
        raise ValueError(
            f"{learner}: network {flat.network.name!r} has no head that anil=True could adapt "
            f"alone: without {head_of(flat.network).name!r}, its last layer with weights, its "
            "outputs depend on the inputs all the same."
        )


def check_no_activity_losses(learner, network):
    """Refuses layers that were given a regulariser of their activations since the learner was made.

    Args:
        learner, network: as in `check_adaptable`.

    Raises:
        ValueError: there are some.
    """
    layers = all_layers(network)
    adding = [v.name for v in layers if getattr(v, "activity_regularizer", None) is not None]
    if adding:
        raise ValueError(
            f"{learner}: network {network.name!r}: {', '.join(adding)} adds a loss of its "
            "activations (an activity_regularizer), which the inner loop does not see; leave it "
            "out. Regularisers of weights are taken into account."
        )


def check_outputs(learner, network, inner_loss):
    """Refuses a network whose outputs an inner loss of Keras takes for something else.

    Args:
        learner, network, inner_loss: as in `check_adaptable`.

    Raises:
        ValueError: it gives probabilities and logits are taken, or the other way round.
    """
    takes_logits, inputs = takes_of_outputs(inner_loss), random_inputs(network)
    if takes_logits is None or inputs is None:
        return
    outputs = observe(network, inputs).outputs
    name = f"{learner}: network {network.name!r} gives"
    other = f"keras.losses.{type(inner_loss).__name__}(from_logits={not takes_logits})"
    if "from_logits" not in inner_loss.get_config():
        other = "another loss"
    if takes_logits and (gives_probabilities(outputs) or ends_in_sigmoid(network)):
        raise ValueError(
            f"{name} probabilities, and the inner loss takes logits: leave out the softmax or "
            f"sigmoid, or give inner_loss={other}."
        )
    if not takes_logits and not may_be_probabilities(outputs):
        raise ValueError(
            f"{name} no probabilities, which inner_loss={name_of(inner_loss)!r} takes: give "
            f"inner_loss={other}, or end the network in a softmax or sigmoid."
        )
