"""The recipe of Reptile."""

from meta_keras import learners
from meta_keras.layers import AdamCell, GradientDescentCell
from meta_keras.recipes.gradient_based import InnerRateRecipe
from meta_keras.recipes.published import omniglot, photographs
from meta_keras.recipes.settings import fixed, setting


class Reptile(InnerRateRecipe):
    """Reptile: initial weights that move towards the adapted ones (Nichol et al. 2018).

    https://arxiv.org/abs/1803.02999
    """

    name = "reptile"
    published = tuple(
        omniglot("Nichol et al. 2018", "random", mode, *figures,
                 remark="1,200 training characters, no validation")
        for mode, figures in (
            ("transductive", (97.68, 99.48, 89.43, 97.12)),
            ("inductive", (95.39, 98.90, 88.14, 96.65)),
        )
    )  # fmt: skip
    published += (
        photographs("mini_imagenet", "Nichol et al. 2018", (49.97, 0.32), (65.99, 0.58),
                    batch_norm="transductive"),
        photographs("mini_imagenet", "Nichol et al. 2018", (47.07, 0.26), (62.74, 0.37),
                    batch_norm="inductive"),
    )  # fmt: skip

    train_episodes = 10000
    train_kshot = 10
    nquery = 1
    meta_batch = 5
    inner_steps = 10
    test_inner_steps = 20
    inner_batch_size = 5
    inner_learning_rate = 0.05
    normalize_features = True
    pools = 3
    clip_norm = None
    anil: bool = fixed(False, "Nothing would move the weights that are not adapted.")
    inner_optimizer: str = setting(
        "sgd",
        "Reptile's steps: Adam without momentum, or plain.",
        choices=["adam", "sgd"],
        brought=True,
    )

    def parts_with_whole_batches(self):
        return ("train",)  # At test, Reptile takes a support set that is smaller as a whole.

    def new_learner(self):
        cell = GradientDescentCell(self.inner_learning_rate)
        if self.inner_optimizer == "adam":
            cell = AdamCell(self.inner_learning_rate, beta_1=0.0)
        return learners.Reptile(self.network(), cell, **self.adaptation())
