"""Recipes of learners that adapt a network by gradients: LSTM meta-learner, MAML and kin."""

import keras

from meta_keras import learners, networks
from meta_keras.errors import SettingError
from meta_keras.layers import GatedLSTMCell, GradientDescentCell, MetaSGDCell
from meta_keras.recipes.few_shot import FewShotRecipe
from meta_keras.recipes.pictures import by_pictures
from meta_keras.recipes.published import omniglot, photographs
from meta_keras.recipes.settings import fixed, setting


class GradientBasedRecipe(FewShotRecipe):
    """What adapts a network of convolutions with logits."""

    chosen_for_any_weights = ("batch_norm", "test_inner_steps")

    inner_steps: int = setting(1, "T, steps on the support set.", at_least=1, brought=True)
    test_inner_steps: int | None = setting(
        None, "T in validation and test, if it is another.", at_least=1
    )
    inner_batch_size: int | None = setting(
        None, "Support pictures a step; all if not given.", at_least=1, brought=True
    )
    batch_norm: str = setting(
        "transductive",
        "Statistics for query pictures at test: their own batch's, or those of the support steps.",
        choices=["transductive", "inductive"],
    )
    downsample: str = setting(
        "pool",
        "Network with max pooling (the paper's) or strided convolutions (Finn et al. 2017).",
        choices=["pool", "stride"],
        brought=True,
    )
    pools: int | None = setting(
        4,
        "Blocks of the network that end in max pooling; 3: nine times as many features.",
        at_least=0,
        at_most=4,
        brought=True,
    )
    logits_initializer: str = setting(
        "zeros",
        "Initial kernel of the network's last layer; zeros: all classes start out alike.",
        choices=["zeros", "glorot_uniform"],
        brought=True,
    )
    normalize_features: bool = setting(
        False,
        "A last batch normalisation before the logits; what first-order methods learn well with.",
        brought=True,
    )
    anil: bool = setting(
        False,
        "Adapt the last layer alone, the logits; the others are learned all the same (Raghu et al. "
        "2020).",
        brought=True,
    )

    def check(self):
        super().check()
        if self.downsample == "stride":
            if "pools" in self.given and self.pools is not None:
                raise SettingError(
                    f"pools={self.pools} does not go with downsample=stride, which has none."
                )
            self._set("pools", None)
        for part in self.parts_with_whole_batches():
            size = self.nway * self.shots(part)[0]
            if (self.inner_batch_size or 1) > size:
                raise SettingError(
                    f"`inner_batch_size` must be at most {size}, the size of the support set of a "
                    f"{part} episode, not {self.inner_batch_size}."
                )

    def parts_with_whole_batches(self):
        """The parts whose support sets must not be smaller than `inner_batch_size`."""
        return "train", "test"

    def network(self):
        return networks.conv4(
            self.nway,
            self.image_shape,
            filters=self.filters,
            downsample=self.downsample,
            pools=self.pools,
            logits_initializer=self.logits_initializer,
            normalize_features=self.normalize_features,
            dtype=self.precision,
            normalization=self.normalization,
        )

    def adaptation(self):
        """The arguments that every gradient-based learner has."""
        return {
            "inner_steps": self.inner_steps,
            "test_inner_steps": self.test_inner_steps,
            "inner_batch_size": self.inner_batch_size,
            "batch_norm": self.batch_norm,
            "anil": self.anil,
        }


class LSTM(GradientBasedRecipe):
    """The LSTM meta-learner: initial weights and the update rule (Ravi & Larochelle 2017).

    https://openreview.net/forum?id=rJY0-Kcll. No figure on Omniglot was published.
    """

    name = "lstm"
    published = (
        photographs("mini_imagenet", "Ravi & Larochelle 2017", (43.44, 0.77), (60.60, 0.71)),
    )

    train_episodes = by_pictures(22000, photographs=60000)
    second_order: bool = setting(
        True, "Differentiate through the gradients the cell sees.", brought=True
    )
    divide_gradient_by_batch: bool = setting(
        False,
        "Divide the mean loss's gradient by the batch size once more, as the paper's official "
        "code.",
        brought=True,
    )
    input_gate_bias: float = setting(
        2.0, "Initial b_I; sigmoid(b_I) is the first inner learning rate.", brought=True
    )
    forget_gate_bias: float = setting(
        6.0, "Initial b_F; sigmoid(b_F) is the first forget gate.", brought=True
    )

    def new_learner(self):
        constant = keras.initializers.Constant
        cell = GatedLSTMCell(
            input_gate_bias_initializer=constant(self.input_gate_bias),
            forget_gate_bias_initializer=constant(self.forget_gate_bias),
        )
        return learners.LSTMMetaLearner(
            self.network(),
            cell,
            second_order=self.second_order,
            divide_gradient_by_batch=self.divide_gradient_by_batch,
            **self.adaptation(),
        )


class InnerRateRecipe(GradientBasedRecipe):
    """What adapts a network with a learning rate."""

    inner_learning_rate: float = setting(
        0.9, "alpha, the (for meta_sgd: first) rate of a step.", above=0, brought=True
    )


class MAML(InnerRateRecipe):
    """Model-agnostic meta-learning: initial weights (Finn et al. 2017).

    https://arxiv.org/abs/1703.03400
    """

    name = "maml"
    published = (
        omniglot(
            "Finn et al. 2017",
            "random",
            "transductive",
            (98.7, 0.4),
            (99.9, 0.1),
            (95.8, 0.3),
            (98.9, 0.2),
        ),
        photographs("cifar_fs", "Bertinetto et al. 2019", (58.9, 1.9), (71.5, 1.0)),
        photographs("fc100", "learn2learn", None, 49.0),
        photographs(
            "mini_imagenet",
            "Finn et al. 2017",
            (48.70, 1.84),
            (63.11, 0.92),
            batch_norm="transductive",
        ),
        photographs("mini_imagenet", "Raghu et al. 2020", (46.7, 0.4), (61.5, 0.5), anil=True),
    )

    train_episodes = by_pictures(30000, photographs=60000)
    second_order: bool = fixed(True, "MAML differentiates through the inner gradients.")

    def new_learner(self):
        cell = GradientDescentCell(self.inner_learning_rate)
        return learners.MAML(
            self.network(), cell, second_order=self.second_order, **self.adaptation()
        )


class FOMAML(MAML):
    """First-order MAML: initial weights, inner gradients as constants (Finn et al. 2017).

    https://arxiv.org/abs/1703.03400, section 5.2. One step from zero logits teaches the first
    order little (37 % after 32,000 episodes): it cannot see what the support pictures' features do
    to the step. Hence five steps, and features that are normalised before the logits.
    """

    name = "fomaml"
    published = (
        omniglot(
            "quoted by Nichol et al. 2018",
            "random",
            "transductive",
            (98.3, 0.5),
            (99.2, 0.2),
            (89.4, 0.5),
            (97.9, 0.1),
        ),
        photographs(
            "mini_imagenet",
            "Finn et al. 2017",
            (48.07, 1.75),
            (63.15, 0.91),
            batch_norm="transductive",
        ),
    )

    train_episodes = 24000
    inner_steps = 5
    test_inner_steps = 20
    inner_learning_rate = 0.05
    normalize_features = True
    pools = 3
    second_order: bool = fixed(False, "FOMAML takes the inner gradients as constants.")


class MetaSGD(InnerRateRecipe):
    """Meta-SGD: initial weights and a rate for each of them (Li et al. 2017).

    https://arxiv.org/abs/1707.09835
    """

    name = "meta_sgd"
    published = (
        omniglot(
            "Li et al. 2017",
            "random",
            "transductive",
            (99.53, 0.26),
            (99.93, 0.09),
            (95.93, 0.38),
            (98.97, 0.19),
        ),
    )

    train_episodes = by_pictures(30000, photographs=60000)
    second_order: bool = setting(
        True, "Differentiate through the gradients the cell sees.", brought=True
    )

    def new_learner(self):
        cell = MetaSGDCell(keras.initializers.Constant(self.inner_learning_rate))
        return learners.MetaSGD(
            self.network(), cell, second_order=self.second_order, **self.adaptation()
        )
