"""MAML and its first-order form: initial weights from which a few gradient steps suffice."""

import keras

from meta_keras.layers import GradientDescentCell
from meta_keras.learners.gradient_based import GradientBasedLearner


@keras.saving.register_keras_serializable(package="meta_keras")
class MAML(GradientBasedLearner):
    """Few-shot learner whose inner optimizer is gradient descent.

        theta'_i = theta - alpha grad L_support(theta)            one step or several
        theta minimizes the mean over episodes i of L_query(theta'_i)

    Chelsea Finn, Pieter Abbeel and Sergey Levine, "Model-agnostic meta-learning for fast
    adaptation of deep networks", ICML 2017, https://arxiv.org/abs/1703.03400

    Args:
        network: a built `keras.Model` from images to N logits; its weights are theta.
        cell: the inner optimizer, `GradientDescentCell(0.4)` by default, the paper's rate for 5
            classes of Omniglot (appendix A.1).
        inner_steps: steps in training; 1 by default, as there.
        second_order: true by default. False is FOMAML, the paper's first-order approximation:
            the inner gradients are constants to the meta-gradient (section 5.2).
        **kwargs: see `GradientBasedLearner`; the paper takes `test_inner_steps=3`.

    Call arguments and shapes: see `EpisodicLearner`.

    Raises:
        ValueError: see `GradientBasedLearner`.

    Example:

    >>> from meta_keras.networks import conv4
    >>> learner = MAML(conv4(5), test_inner_steps=3)
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> learner.compile("adam", loss, metrics=["accuracy"])
    """

    def __init__(self, network, cell=None, inner_steps=1, second_order=True, **kwargs):
        cell = cell or GradientDescentCell(0.4)
        super().__init__(network, cell, inner_steps, second_order=second_order, **kwargs)

    @property
    def method(self):
        return "maml" if self.second_order else "fomaml"
