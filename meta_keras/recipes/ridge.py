"""The recipe of R2-D2: ridge regression on an embedding that is learned with it."""

from meta_keras import learners
from meta_keras.recipes.metric import EmbeddingRecipe
from meta_keras.recipes.published import photographs
from meta_keras.recipes.settings import setting


class R2D2(EmbeddingRecipe):
    """R2-D2: ridge regression in closed form on learned embeddings (Bertinetto et al. 2019).

    https://arxiv.org/abs/1805.08136
    """

    name = "r2d2"
    published = (
        photographs("cifar_fs", "Bertinetto et al. 2019", 62.3, 77.4, remark="64 filters"),
        photographs("mini_imagenet", "Bertinetto et al. 2019", 49.5, 65.4, remark="64 filters"),
    )

    ridge: float = setting(1.0, "lambda to begin with; it is learned.", above=0, brought=True)
    scale: float = setting(
        10.0, "alpha to begin with, what answers are multiplied by; it is learned.", above=0,
        brought=True,
    )  # fmt: skip

    def new_learner(self):
        return learners.R2D2(self.embedding(), self.ridge, self.scale)
