"""What a network must be to be adapted."""

from meta_keras.functional import gives_probabilities, observe, random_inputs


def check_adaptable(learner, network, from_logits):
    """Refuses networks that an inner loop would not adapt as they declare.

    What a network does is found out by running it, if it tells the shape of its input.

    Args:
        learner: name of the learner, for messages.
        network: a built `keras.Model`.
        from_logits: whether the inner loss takes logits.

    Raises:
        ValueError: it gives something else than `[batch, N]`, draws random numbers, adds losses of
            its activations, has state of its own (that of batch normalisation is known), or gives
            probabilities where logits are taken.
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
    if from_logits and gives_probabilities(found.outputs):
        raise ValueError(
            f"{name} gives probabilities, and the inner loss takes logits: leave out the softmax, "
            "or give inner_loss=keras.losses.SparseCategoricalCrossentropy()."
        )
