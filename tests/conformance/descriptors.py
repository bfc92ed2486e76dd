"""The table of learners: what each is, and what it promises and does not.

A new learner is a row of `LEARNERS`; every test of this folder then runs on it.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import pytest

from meta_keras import (
    MAML,
    R2D2,
    LSTMMetaLearner,
    MatchingNetwork,
    MetaSGD,
    PrototypicalNetwork,
    RelationNetwork,
    Reptile,
    SiameseNetwork,
    SimpleShot,
    ZeroShotPrototypicalNetwork,
)
from meta_keras.layers import AdamCell, GatedLSTMCell, GradientDescentCell, MetaSGDCell


class Parts(NamedTuple):
    """The tiny networks learners are built of, see the fixtures of `tests/conftest.py`."""

    network: Callable
    embedding: Callable
    relation: Callable
    randomize_cell: Callable


@pytest.fixture
def parts(make_network, make_embedding, make_relation, randomize_cell):
    return Parts(make_network, make_embedding, make_relation, randomize_cell)


@dataclasses.dataclass(frozen=True)
class Descriptor:
    """A row of the table.

    Attributes:
        name: of the row.
        build: function `(parts, dtype, **network_arguments)` to the same learner every time. The
            dtype is that of the networks; the learner and its cell have the one of its weights.
        method: the learner's `method`.
        num_classes: the learner's `num_classes`.
        transductive: whether it says so, and is.
        described: whether it learns classes from descriptors instead of a support set.
        moving_statistics: whether training moves those of its networks' batch normalisation.
        sees_order: whether the order of the support pictures matters.
        reorder: function `(learner, order)` that puts what belongs to classes into a new order.
        rate: of a plain gradient step that lowers the loss.
        loop_of: name of the row that has the same loop over episodes, so that what is slow, as
            tracing a graph is, need not be tested on this one; None: the loop is its own.
        not_promised: dict from the name of a promise to the reason why it is not made.
    """

    name: str
    build: Callable
    method: str
    num_classes: int | None = None
    transductive: bool = False
    described: bool = False
    moving_statistics: bool = False
    sees_order: bool = False
    reorder: Callable = lambda learner, order: None
    rate: float = 0.1
    loop_of: str | None = None
    not_promised: dict = dataclasses.field(default_factory=dict)

    def promises(self, promise):
        """Skips the test, with the reason, if this learner does not make a promise."""
        if promise in self.not_promised:
            pytest.skip(f"{self.name}: {self.not_promised[promise]}")

    def has_a_loop(self):
        """Skips a slow test of the loop over episodes if another row has the same."""
        if self.loop_of:
            pytest.skip(f"its loop over episodes is that of {self.loop_of}")

    def make_batch(self, make_episodes, batch=1, dtype="float32", classes=3, seed=0, **kwargs):
        """Random episodes `(x, y)` for this learner, in NumPy."""
        x, y = make_episodes(batch, classes=classes, dtype=dtype, seed=seed, **kwargs)
        if self.described:
            # Pixels of an example, so that there is something to learn.
            examples = x["support_images"].reshape(batch, classes, -1, 36)[:, :, 0]
            x = {"descriptors": examples[..., 14:21], "query_images": x["query_images"]}
        return x, y

    def classes_of(self, x, episode=0):
        """What `adapt` is given for one episode of a batch."""
        names = ("descriptors",) if self.described else ("support_images", "support_labels")
        return [x[name][episode] for name in names]


def with_one_step(learner):
    """The learner, with one step if it takes steps: a graph of it is made sooner."""
    if learner.num_classes is not None:
        learner.inner_steps, learner.test_inner_steps = 1, None
    return learner


def _variable_dtype(dtype):
    return keras.DTypePolicy(dtype).variable_dtype


def _lstm(**arguments):
    def build(parts, dtype, **network):
        cell = GatedLSTMCell(units=3, dtype=_variable_dtype(dtype))
        learner = LSTMMetaLearner(
            parts.network(dtype=dtype, **network),
            cell,
            inner_steps=2,
            dtype=_variable_dtype(dtype),
            **arguments,
        )
        parts.randomize_cell(cell)
        return learner

    return build


def _gradient_based(learner, cell, **arguments):
    def build(parts, dtype, **network):
        arguments_of_all = {"inner_steps": 2, "test_inner_steps": 3, **arguments}
        dtypes = {"dtype": _variable_dtype(dtype)}
        network = parts.network(dtype=dtype, **network)
        return learner(network, cell(**dtypes), **arguments_of_all, **dtypes)

    return build


def _meta_sgd(parts, dtype, **network):
    learner = _gradient_based(MetaSGD, MetaSGDCell)(parts, dtype, **network)
    alpha = learner.cell.alpha
    alpha.assign(np.random.default_rng(2).uniform(0.0, 0.8, alpha.shape))
    return learner


def _metric(learner, **arguments):
    def build(parts, dtype, **network):
        embedding = parts.embedding(dtype=dtype, **network)
        return learner(embedding, **arguments, dtype=_variable_dtype(dtype))

    return build


def _relation(parts, dtype, **network):
    embedding = parts.embedding(maps=True, dtype=dtype, **network)
    return RelationNetwork(embedding, parts.relation(dtype=dtype), dtype=_variable_dtype(dtype))


def _siamese(parts, dtype, **network):
    learner = _metric(SiameseNetwork)(parts, dtype, **network)
    learner.comparison.kernel.assign(np.random.default_rng(4).normal(size=(4, 1)))
    return learner


def _zero_shot(parts, dtype, **network):
    descriptors = keras.Input((7,), dtype=_variable_dtype(dtype))
    x = keras.layers.Dense(5, activation="tanh", dtype=dtype)(descriptors)
    x = keras.layers.BatchNormalization(momentum=0.6, dtype=dtype)(x)
    descriptor_network = keras.Model(descriptors, keras.layers.Dense(4, dtype=dtype)(x))
    rng = np.random.default_rng(6)
    descriptor_network.set_weights(
        [rng.uniform(0.2, 1.2, v.shape) for v in descriptor_network.weights]
    )
    embedding = parts.embedding(dtype=dtype, **network)
    return ZeroShotPrototypicalNetwork(embedding, descriptor_network, dtype=_variable_dtype(dtype))


def _reorder_logits(learner, order):
    logits = learner.network.layers[-1]
    kernel, bias = logits.get_weights()
    logits.set_weights([kernel[:, order], bias[order]])


def _reorder_logits_and_rates(learner, order):
    _reorder_logits(learner, order)
    *others, kernel, bias = map(np.array, learner.flat.unflatten(np.array(learner.cell.alpha)))
    rates = [*others, kernel[:, order], bias[order]]
    learner.cell.alpha.assign(np.concatenate([part.ravel() for part in rates]))


_GRADIENT_BASED = {
    "num_classes": 3,
    "reorder": _reorder_logits,
    "loop_of": "lstm",
}
_METRIC = {"moving_statistics": True, "loop_of": "euclidean"}

GRADIENT_BASED_LEARNERS = [
    Descriptor("lstm", _lstm(), "lstm", transductive=True, **_GRADIENT_BASED | {"loop_of": None}),
    Descriptor("lstm_inductive", _lstm(batch_norm="inductive"), "lstm", **_GRADIENT_BASED),
    Descriptor(
        "lstm_minibatched",
        _lstm(second_order=True, inner_batch_size=2, divide_gradient_by_batch=True, name="it"),
        "lstm",
        transductive=True,
        sees_order=True,
        **_GRADIENT_BASED,
    ),
    Descriptor(
        "maml",
        _gradient_based(MAML, lambda **dtype: GradientDescentCell(0.4, **dtype)),
        "maml",
        transductive=True,
        **_GRADIENT_BASED,
    ),
    Descriptor(
        "fomaml",
        _gradient_based(
            MAML,
            lambda **dtype: GradientDescentCell(0.4, **dtype),
            second_order=False,
            batch_norm="inductive",
        ),
        "fomaml",
        **_GRADIENT_BASED,
    ),
    Descriptor(
        "anil",
        _gradient_based(MAML, lambda **dtype: GradientDescentCell(0.4, **dtype), anil=True),
        "maml",
        transductive=True,
        **_GRADIENT_BASED,
    ),
    Descriptor(
        "meta_sgd",
        _meta_sgd,
        "meta_sgd",
        transductive=True,
        **{**_GRADIENT_BASED, "reorder": _reorder_logits_and_rates},
    ),
    Descriptor(
        "reptile",
        _gradient_based(
            Reptile, lambda **dtype: AdamCell(0.05, beta_1=0.0, **dtype), inner_batch_size=2
        ),
        "reptile",
        transductive=True,
        sees_order=True,
        rate=1.0,
        **_GRADIENT_BASED | {"loop_of": None},  # It has a training step of its own.
    ),
]
METRIC_LEARNERS = [
    Descriptor(
        "euclidean",
        _metric(PrototypicalNetwork, distance="euclidean", temperature=0.6),
        "prototypical",
        **_METRIC | {"loop_of": None},
    ),
    Descriptor(
        "cosine",
        _metric(PrototypicalNetwork, distance="cosine", temperature=0.6),
        "prototypical",
        **_METRIC,
    ),
    Descriptor("matching", _metric(MatchingNetwork, temperature=0.6), "matching", **_METRIC),
    Descriptor(
        "full_context",
        _metric(MatchingNetwork, full_context=True, read_steps=2),
        "matching",
        sees_order=True,  # by its LSTM over the support set
        **_METRIC,
    ),
    Descriptor("relation", _relation, "relation", **_METRIC),
    Descriptor("siamese", _siamese, "siamese", **_METRIC),
    Descriptor("r2d2", _metric(R2D2), "r2d2", **_METRIC),
    Descriptor("simple_shot", _metric(SimpleShot, temperature=0.6), "simple_shot", **_METRIC),
]
DESCRIBED_LEARNERS = [
    Descriptor(
        "zero_shot",
        _zero_shot,
        "zero_shot",
        described=True,
        moving_statistics=True,
        not_promised={"label checks": "it is given no labels"},
    ),
]
LEARNERS = [*GRADIENT_BASED_LEARNERS, *METRIC_LEARNERS, *DESCRIBED_LEARNERS]
