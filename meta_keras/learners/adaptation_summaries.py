"""What is worth watching while a learner adapts with a cell."""

import tensorflow as tf

from meta_keras.learners.inner_loss import mean_loss


def adaptation_summaries(learner, x, y):
    """See `Learner.adaptation_summaries`.

    Args:
        learner: a `GradientBasedLearner`.
        x, y: a batch as it is fitted on.

    Returns:
        `(scalars, histograms)`: dicts from a tag to a scalar: the support loss before every step,
        the query loss before and after all of them; and to a tensor `[P]`: what the cell shows of
        its state (`Cell.observables`) after every step.
    """
    x, y = {name: value[0] for name, value in x.items()}, tf.convert_to_tensor(y[0])
    support = learner.checked_support_set(x["support_images"], x["support_labels"])
    run = learner.run_inner_loop(*support)
    scalars = {
        f"inner_loop/support_loss_before_step_{step + 1:02d}": loss
        for step, loss in enumerate(run.losses)
    }
    for when, parameters, state in (
        ("before", learner.flat.parameters(), learner.flat.state()),
        ("after", run.parameters, run.carry),
    ):
        outputs, _ = learner.flat(parameters, state, x["query_images"], learner.is_transductive())
        name = f"inner_loop/query_loss_{when}_adaptation"
        scalars[name] = mean_loss(learner.inner_loss, y, outputs)
    histograms = {
        f"{name}/step_{step + 1:02d}": values
        for step, state in enumerate(run.states)
        for name, values in learner.cell.observables(state).items()
    }
    return scalars, histograms
