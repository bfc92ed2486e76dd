"""What a learner says of itself."""

import re

import pytest

from meta_keras import DescribedLearner, EpisodicLearner, Learner
from tests.conformance.descriptors import LEARNERS


def test_attributes(row, make_learner):
    learner = make_learner()
    assert isinstance(learner, DescribedLearner if row.described else EpisodicLearner)
    assert not isinstance(learner, EpisodicLearner if row.described else DescribedLearner)
    assert learner.method == row.method
    assert learner.num_classes == row.num_classes
    assert learner.is_transductive() is row.transductive
    assert learner.network.input_shape == (None, 6, 6, 1)


def test_its_paper_is_linked(row, make_learner):
    assert re.search(r"https://(arxiv|openreview|www\.cs\.cmu)", type(make_learner()).__doc__)


def test_adaptation_summaries(row, make_learner, make_batch):
    """A learner that takes steps shows each of them; the others have nothing to show."""
    learner = make_learner()
    scalars, histograms = learner.adaptation_summaries(*make_batch(2))
    if row.num_classes is None:
        assert (scalars, histograms) == ({}, {})
        return
    steps = [f"inner_loop/support_loss_before_step_{t + 1:02d}" for t in range(learner.steps())]
    query = [f"inner_loop/query_loss_{when}_adaptation" for when in ("before", "after")]
    assert list(scalars) == [*steps, *query]
    assert all(value.shape == () for value in scalars.values())
    assert all(values.shape == (learner.flat.size,) for values in histograms.values())
    assert ("input_gate/step_01" in histograms) == (row.method == "lstm")


def test_every_method_has_a_row():
    def of(kind):
        return {kind, *(name for other in kind.__subclasses__() for name in of(other))}

    # Tests make kinds of their own.
    public = {kind.method for kind in of(Learner) if kind.__module__.startswith("meta_keras.")}
    named = {method for method in public if isinstance(method, str)}
    assert named | {"maml", "fomaml"} == {row.method for row in LEARNERS}


def test_unknown_promises_are_not_asked_for():
    with pytest.raises(pytest.skip.Exception, match="zero_shot: it is given no labels"):
        LEARNERS[-1].promises("label checks")
    with pytest.raises(pytest.skip.Exception, match="is that of lstm"):
        LEARNERS[1].has_a_loop()
