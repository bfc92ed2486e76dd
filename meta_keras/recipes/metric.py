"""Recipes of learners that compare embeddings."""

from meta_keras import networks
from meta_keras.errors import SettingError
from meta_keras.learners import (
    BalancedPairsLoss,
    MatchingNetwork,
    PrototypicalNetwork,
    RelationLoss,
    RelationNetwork,
    SiameseNetwork,
)
from meta_keras.recipes.few_shot import FewShotRecipe
from meta_keras.recipes.pictures import by_pictures
from meta_keras.recipes.published import omniglot, photographs
from meta_keras.recipes.settings import setting


class MetricRecipe(FewShotRecipe):
    """What embeds pictures. Training with many classes makes few episodes do."""

    filters = 64
    meta_batch = 1
    nquery = by_pictures(2, photographs=5)
    train_kshot = by_pictures(None, photographs=2)
    train_episodes = by_pictures(1500, photographs=7000)
    validation_interval = by_pictures(250, photographs=1000)
    train_nway: int | None = setting(
        60,
        "Classes of a training episode; `nway` if not given.",
        at_least=2,
        cases={"photographs": 16},
        case_of="pictures",
    )


class EmbeddingRecipe(MetricRecipe):
    """What embeds pictures as vectors.

    Without the last pooling those of characters have 576 numbers, not the papers' 64, and half the
    episodes do.
    """

    pools: int = setting(
        3,
        "Blocks of the network that end in max pooling; 3: nine times as many features.",
        at_least=0,
        at_most=4,
        brought=True,
        cases={"photographs": 4},
        case_of="pictures",
    )

    architecture: str = setting(
        "conv4",
        "What embeds: four convolutions, or a residual network of twelve (resnet12: 12 million "
        "weights, widths and pooling of its own, slow without a GPU).",
        choices=["conv4", "resnet12"],
        brought=True,
    )

    def check(self):
        super().check()
        given = sorted({"filters", "pools"} & set(self.given))
        if self.architecture == "resnet12" and given:
            raise SettingError(
                f"{given[0]}={getattr(self, given[0])} does not go with architecture=resnet12, "
                "which has its own."
            )

    def embedding(self):
        if self.architecture == "resnet12":
            return networks.resnet12(
                self.image_shape, dtype=self.precision, normalization=self.normalization
            )
        return networks.conv4_embedding(
            self.image_shape,
            self.filters,
            pools=self.pools,
            dtype=self.precision,
            normalization=self.normalization,
        )


class Prototypical(EmbeddingRecipe):
    """Prototypical network: distance to class means (Snell et al. 2017).

    https://arxiv.org/abs/1703.05175
    """

    name = "prototypical"
    published = (
        omniglot("Snell et al. 2017", "vinyals", None, 98.8, 99.7, 96.0, 98.9),
        photographs("cifar_fs", "Bertinetto et al. 2019", (55.5, 0.7), (72.0, 0.6)),
        photographs("mini_imagenet", "Snell et al. 2017", (49.42, 0.78), (68.20, 0.66)),
    )

    train_episodes = by_pictures(2000, photographs=7000)
    distance: str = setting(
        "euclidean",
        "Squared Euclidean distance to the prototypes, or the cosine with them.",
        choices=["euclidean", "cosine"],
        brought=True,
    )
    temperature: float = setting(1.0, "What logits are divided by.", above=0, brought=True)

    def new_learner(self):
        return PrototypicalNetwork(self.embedding(), self.distance, self.temperature)


class Matching(EmbeddingRecipe):
    """Matching network: attention over the support pictures (Vinyals et al. 2016).

    https://arxiv.org/abs/1606.04080
    """

    name = "matching"
    published = (
        omniglot(
            "Vinyals et al. 2016", "random", None, 98.1, 98.9, 93.8, 98.5,
            remark="quoted by Finn et al. 2017",
        ),
        photographs("mini_imagenet", "Vinyals et al. 2016", (43.40, 0.78), (51.09, 0.71),
                    remark="as run by Ravi & Larochelle 2017", full_context=False),
        photographs("mini_imagenet", "Vinyals et al. 2016", (43.56, 0.84), (55.31, 0.73),
                    remark="as run by Ravi & Larochelle 2017", full_context=True),
    )  # fmt: skip

    temperature: float = setting(0.1, "What logits are divided by.", above=0, brought=True)
    full_context: bool = setting(False, "Embeddings that see the whole support set.", brought=True)

    def new_learner(self):
        return MatchingNetwork(self.embedding(), self.temperature, self.full_context)


class Relation(MetricRecipe):
    """Relation network: feature maps and a module that compares them (Sung et al. 2018).

    https://arxiv.org/abs/1711.06025
    """

    name = "relation"
    published = (
        omniglot(
            "Sung et al. 2018",
            "random",
            None,
            (99.6, 0.2),
            (99.8, 0.1),
            (97.6, 0.2),
            (99.1, 0.1),
            remark="1,200 training characters, no validation",
        ),
        photographs("cifar_fs", "Bertinetto et al. 2019", (55.0, 1.0), (69.3, 0.8)),
        photographs("mini_imagenet", "Sung et al. 2018", (50.44, 0.82), (65.32, 0.70)),
    )

    train_nway = by_pictures(20, photographs=10)
    train_episodes = by_pictures(2400, photographs=8000)
    validation_interval = by_pictures(400, photographs=1000)
    relation_loss: str = setting(
        "cross_entropy",
        "Cross-entropy of the classes, or the paper's squared error of the scores.",
        choices=["cross_entropy", "mse"],
    )

    def check(self):
        super().check()
        if self.image_shape[0] < 22:
            raise SettingError(
                f"image_size={self.image_size} must be at least 22: of smaller pictures a relation "
                "network has no maps to compare."
            )

    def new_learner(self):
        embedding = networks.conv4_embedding(
            self.image_shape,
            self.filters,
            maps=True,
            dtype=self.precision,
            normalization=self.normalization,
        )
        relation = networks.relation_module(
            embedding.output_shape[1:], self.filters, dtype=self.precision
        )
        return RelationNetwork(embedding, relation)

    def loss(self):
        return RelationLoss() if self.relation_loss == "mse" else super().loss()


class Siamese(EmbeddingRecipe):
    """Siamese network: a weighted L1 distance of two pictures (Koch et al. 2015).

    https://www.cs.cmu.edu/~rsalakhu/papers/oneshot1.pdf
    """

    name = "siamese"
    published = (
        omniglot(
            "Koch et al. 2015", "random", None, 97.3, 98.4, 88.2, 97.0,
            remark="quoted by Finn et al. 2017",
        ),
    )  # fmt: skip

    train_kshot = 1  # Pairs are pairs of pictures with one support picture a class only.

    def new_learner(self):
        return SiameseNetwork(self.embedding())

    def loss(self):
        return BalancedPairsLoss()
