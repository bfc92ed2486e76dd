"""Meta-SGD: initial weights and the rate of every coordinate."""

import keras

from meta_keras.layers import MetaSGDCell
from meta_keras.learners.gradient_based import GradientBasedLearner


@keras.saving.register_keras_serializable(package="meta_keras")
class MetaSGD(GradientBasedLearner):
    """Few-shot learner whose inner optimizer is a `MetaSGDCell`.

        theta'_i = theta - alpha o grad L_support(theta)
        theta and alpha minimize the mean over episodes i of L_query(theta'_i)

    With all rates equal and held it is MAML.

    Zhenguo Li, Fengwei Zhou, Fei Chen and Hang Li, "Meta-SGD: Learning to learn quickly for
    few-shot learning", 2017, https://arxiv.org/abs/1707.09835

    Args:
        network: a built `keras.Model` from images to N logits; its weights are theta.
        cell: the inner optimizer, a `MetaSGDCell` with the paper's initial rates by default.
        inner_steps: 1 by default, as in the paper (algorithm 1).
        second_order: true by default, as in the paper.
        **kwargs: see `GradientBasedLearner`.

    Call arguments and shapes: see `EpisodicLearner`.

    Raises:
        ValueError: see `GradientBasedLearner`.

    Example:

    >>> from meta_keras.networks import conv4
    >>> learner = MetaSGD(conv4(5))
    >>> learner.count_params() == 2 * 28485 + 2 * 4 * 32  # theta, alpha, statistics
    True
    """

    method = "meta_sgd"

    def __init__(self, network, cell=None, inner_steps=1, second_order=True, **kwargs):
        cell = cell or MetaSGDCell()
        super().__init__(network, cell, inner_steps, second_order=second_order, **kwargs)
