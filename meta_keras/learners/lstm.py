"""The LSTM meta-learner of "Optimization as a model for few-shot learning"."""

import keras

from meta_keras.layers import GatedLSTMCell
from meta_keras.learners.gradient_based import GradientBasedLearner


@keras.saving.register_keras_serializable(package="meta_keras")
class LSTMMetaLearner(GradientBasedLearner):
    """Few-shot learner whose inner optimizer is a `GatedLSTMCell`.

        theta_t = f_t o theta_{t-1} - i_t o grad L_support(theta_{t-1}),      t = 1 ... T
        theta_0 and the weights of the gates i, f minimize the mean of L_query(theta_T)

    Sachin Ravi and Hugo Larochelle, "Optimization as a model for few-shot learning", ICLR 2017,
    https://openreview.net/forum?id=rJY0-Kcll

    Args:
        network: a built `keras.Model` from images to N logits; its weights are the learned
            initial parameters theta_0.
        cell: the meta-learner, a `GatedLSTMCell` with the paper's initialisation by default.
        **kwargs: see `GradientBasedLearner`: `inner_steps`, `inner_batch_size`, `second_order`,
            `batch_norm`, `divide_gradient_by_batch`.

    Call arguments and shapes: see `EpisodicLearner`.

    Raises:
        ValueError: see `GradientBasedLearner`.

    Example:

    >>> from meta_keras.networks import conv4
    >>> learner = LSTMMetaLearner(conv4(5), inner_steps=5)
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> learner.compile("adam", loss, metrics=["accuracy"])
    """

    method = "lstm"

    def __init__(self, network, cell=None, **kwargs):
        super().__init__(network, cell or GatedLSTMCell(), **kwargs)
