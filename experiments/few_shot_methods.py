"""The methods of few-shot experiments: what `--method=NAME` builds, and from which flags.

A new method is an entry of `METHODS` and the function that builds its learner. Flags that only
some methods have are defined in `few_shot_learner` and named by the entries that have them.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
from absl import flags

from meta_keras import networks
from meta_keras.layers import AdamCell, GatedLSTMCell, GradientDescentCell, MetaSGDCell
from meta_keras.learners import (
    MAML,
    BalancedPairsLoss,
    LSTMMetaLearner,
    MatchingNetwork,
    MetaSGD,
    PrototypicalNetwork,
    RelationLoss,
    RelationNetwork,
    Reptile,
    SiameseNetwork,
)

FLAGS = flags.FLAGS
IMAGE_SHAPE = (28, 28, 1)


def _cross_entropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Method(NamedTuple):
    """An entry of `METHODS`.

    Attributes:
        learner: the class of the learner.
        build: function without arguments that makes a new learner as the flags say.
        flags: names of the flags that it has and some other method has not.
        defaults: dict from flags to their default values, where those of the definition (which
            are `lstm`'s) do not fit. For a flag that only other methods have it is a fixed value.
        loss: function without arguments that makes the loss of the query logits.
    """

    learner: type
    build: Callable
    flags: tuple
    defaults: dict
    loss: Callable = _cross_entropy


# What may be chosen for any weights, and with what is about training alone, not a preset's matter.
CHOSEN_FOR_ANY_WEIGHTS = ("batch_norm", "test_inner_steps")
FREE_FLAGS = ("train_nway", "relation_loss", *CHOSEN_FOR_ANY_WEIGHTS)
NETWORK = ("filters", "downsample", "pools", "mixed_precision")
GRADIENT_BASED = (
    *NETWORK,
    "logits_initializer",
    "normalize_features",
    "inner_steps",
    "test_inner_steps",
    "inner_batch_size",
    "batch_norm",
)
INNER_RATE = (*GRADIENT_BASED, "inner_learning_rate")
METRIC = ("filters", "mixed_precision", "train_nway")
EMBEDDING = (*METRIC, "pools")


def _precision():
    return "mixed_bfloat16" if FLAGS.mixed_precision else "float32"


def _network_with_logits():
    return networks.conv4(
        FLAGS.nway,
        IMAGE_SHAPE,
        filters=FLAGS.filters,
        downsample=FLAGS.downsample,
        pools=FLAGS.pools,
        logits_initializer=FLAGS.logits_initializer,
        normalize_features=FLAGS.normalize_features,
        dtype=_precision(),
    )


def _adaptation():
    """The arguments that every gradient-based learner has."""
    return {
        "inner_steps": FLAGS.inner_steps,
        "test_inner_steps": FLAGS.test_inner_steps,
        "inner_batch_size": FLAGS.inner_batch_size,
        "batch_norm": FLAGS.batch_norm,
    }


def _lstm():
    constant = keras.initializers.Constant
    cell = GatedLSTMCell(
        input_gate_bias_initializer=constant(FLAGS.input_gate_bias),
        forget_gate_bias_initializer=constant(FLAGS.forget_gate_bias),
    )
    return LSTMMetaLearner(
        _network_with_logits(),
        cell,
        second_order=FLAGS.second_order,
        divide_gradient_by_batch=FLAGS.divide_gradient_by_batch,
        **_adaptation(),
    )


def _maml():
    cell = GradientDescentCell(FLAGS.inner_learning_rate)
    return MAML(_network_with_logits(), cell, second_order=FLAGS.second_order, **_adaptation())


def _meta_sgd():
    cell = MetaSGDCell(keras.initializers.Constant(FLAGS.inner_learning_rate))
    return MetaSGD(_network_with_logits(), cell, second_order=FLAGS.second_order, **_adaptation())


def _reptile():
    if FLAGS.inner_optimizer == "adam":
        cell = AdamCell(FLAGS.inner_learning_rate, beta_1=0.0)
    else:
        cell = GradientDescentCell(FLAGS.inner_learning_rate)
    return Reptile(_network_with_logits(), cell, **_adaptation())


def _embedding():
    return networks.conv4_embedding(
        IMAGE_SHAPE, FLAGS.filters, pools=FLAGS.pools, dtype=_precision()
    )


def _prototypical():
    return PrototypicalNetwork(_embedding(), FLAGS.distance, FLAGS.temperature)


def _matching():
    return MatchingNetwork(_embedding(), FLAGS.temperature, FLAGS.full_context)


def _relation():
    embedding = networks.conv4_embedding(IMAGE_SHAPE, FLAGS.filters, maps=True, dtype=_precision())
    relation = networks.relation_module(
        embedding.output_shape[1:], FLAGS.filters, dtype=_precision()
    )
    return RelationNetwork(embedding, relation)


def _relation_loss():
    return RelationLoss() if FLAGS.relation_loss == "mse" else _cross_entropy()


def _siamese():
    return SiameseNetwork(_embedding())


# Training with many classes makes few episodes do, so validations are closer together.
MANY_CLASSES = {
    "filters": 64,
    "train_nway": 60,
    "meta_batch": 1,
    "nquery": 2,
    "episodes": 1500,
    "validation_interval": 250,
}
# Without the last pooling an embedding has 576 numbers, not the papers' 64, and half the episodes
# do.
MANY_FEATURES = {**MANY_CLASSES, "pools": 3}
METHODS = {
    "lstm": Method(
        LSTMMetaLearner,
        _lstm,
        flags=(
            *GRADIENT_BASED,
            "second_order",
            "divide_gradient_by_batch",
            "input_gate_bias",
            "forget_gate_bias",
        ),
        defaults={},
    ),
    "maml": Method(
        MAML,
        _maml,
        flags=INNER_RATE,
        defaults={"second_order": True, "inner_learning_rate": 0.9, "episodes": 30000},
    ),
    "fomaml": Method(
        MAML,
        _maml,
        flags=INNER_RATE,
        # One step from zero logits teaches the first order little (37 % after 32,000 episodes): it
        # cannot see what the support pictures' features do to the step.
        defaults={
            "second_order": False,
            "inner_steps": 5,
            "test_inner_steps": 20,
            "inner_learning_rate": 0.05,
            "normalize_features": True,
            "pools": 3,
            "episodes": 24000,
        },
    ),
    "meta_sgd": Method(
        MetaSGD,
        _meta_sgd,
        flags=(*INNER_RATE, "second_order"),
        defaults={"inner_learning_rate": 0.9, "episodes": 30000},
    ),
    "reptile": Method(
        Reptile,
        _reptile,
        flags=(*INNER_RATE, "inner_optimizer"),
        defaults={
            "train_kshot": 10,
            "nquery": 1,
            "inner_steps": 10,
            "inner_batch_size": 5,
            "test_inner_steps": 20,
            "inner_optimizer": "sgd",
            "inner_learning_rate": 0.05,
            "normalize_features": True,
            "pools": 3,
            "clip_norm": None,
            "meta_batch": 5,
            "episodes": 10000,
        },
    ),
    "prototypical": Method(
        PrototypicalNetwork,
        _prototypical,
        flags=(*EMBEDDING, "distance", "temperature"),
        defaults={
            **MANY_FEATURES,
            "episodes": 2000,
            "distance": "euclidean",
            "temperature": 1.0,
        },
    ),
    "matching": Method(
        MatchingNetwork,
        _matching,
        flags=(*EMBEDDING, "temperature", "full_context"),
        defaults={
            **MANY_FEATURES,
            "temperature": 0.1,
            "full_context": False,
        },
    ),
    "relation": Method(
        RelationNetwork,
        _relation,
        flags=(*METRIC, "relation_loss"),
        defaults={
            **MANY_CLASSES,
            "train_nway": 20,
            "episodes": 2400,
            "validation_interval": 400,
            "relation_loss": "cross_entropy",
        },
        loss=_relation_loss,
    ),
    # Pairs are pairs of pictures with one support picture a class only.
    "siamese": Method(
        SiameseNetwork,
        _siamese,
        flags=EMBEDDING,
        defaults={**MANY_FEATURES, "train_kshot": 1},
        loss=BalancedPairsLoss,
    ),
}


def method_flags():
    """The flags that some methods have and others have not."""
    return {*FREE_FLAGS}.union(*(method.flags for method in METHODS.values()))


def method_of(config):
    """The name of the method whose learner was saved with `config`, None if there is none.

    Args:
        config: as `meta_keras.presets.preset_config` gives it.
    """
    for name, method in METHODS.items():
        fixed = method_flags().difference(method.flags).intersection(method.defaults)
        if config["registered_name"] == keras.saving.get_registered_name(method.learner) and all(
            config["config"].get(flag) == method.defaults[flag] for flag in fixed
        ):
            return name
    return None
