"""Replicas together train on what one process trains on, and refuse what they cannot share."""

import types

import numpy as np
import pytest

from meta_keras import recipes
from meta_keras.errors import SettingError
from meta_keras.recipes import episodic_run, optimizer_run
from meta_keras.training import replicas as training_replicas

CLUSTER = '{"cluster": {"worker": ["one:1", "two:2"]}, "task": %s}'


def all_replicas(workers, local):
    """What each worker knows of itself, without a cluster."""
    shape = {"workers": workers, "local": local, "count": workers * local}
    return [types.SimpleNamespace(worker=worker, **shape) for worker in range(workers)]


@pytest.mark.parametrize(("workers", "local"), [(2, 1), (1, 2), (2, 2)])
def test_replicas_share_the_episodes_of_every_update(workers, local):
    recipe = recipes.recipe("maml", dataset="sinusoid", kshot=1, nquery=1, meta_batch=4)
    whole = [y.numpy() for _, y in episodic_run.work(recipe, None, 3, 2)]
    shares = [
        [y.numpy() for _, y in episodic_run.work(recipe, replicas, 3, 2)]
        for replicas in all_replicas(workers, local)
    ]
    for update in range(2):
        found = [batch for share in shares for batch in share[update * local :][:local]]
        assert [len(batch) for batch in found] == [4 // workers // local] * workers * local
        np.testing.assert_array_equal(
            np.sort(np.concatenate(found).ravel()), np.sort(whole[update].ravel())
        )


@pytest.mark.parametrize(("workers", "local"), [(2, 1), (1, 2), (2, 2)])
def test_replicas_share_the_optimizations_side_by_side(workers, local):
    recipe = recipes.recipe("coordinatewise_lstm", meta_batch=4, steps=4, unroll_steps=2)
    whole = [x["seed"].numpy() for x in optimizer_run.work(recipe, None, 1, 3)]
    shares = [
        [x["seed"].numpy() for x in optimizer_run.work(recipe, replicas, 1, 3)]
        for replicas in all_replicas(workers, local)
    ]
    assert len({int(seed) for row in whole for seed in row}) == 8  # of two rounds
    for update in range(3):
        found = [row for share in shares for row in share[update * local :][:local]]
        np.testing.assert_array_equal(np.concatenate(found), whole[update])


def test_a_cluster_is_read_from_tf_config(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", CLUSTER % '{"type": "worker", "index": 1}')
    assert training_replicas._cluster() == (1, 2)
    config = (
        '{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "%s", "index": 0}}'
    )
    for number, kind in enumerate(("chief", "worker")):
        monkeypatch.setenv("TF_CONFIG", config % kind)
        assert training_replicas._cluster() == (number, 2)


@pytest.mark.parametrize(
    "config",
    [
        None,
        "worker",
        "[]",
        CLUSTER % '{"type": "worker"}',
        CLUSTER % '{"type": "worker", "index": 2}',
        '{"cluster": {"ps": ["one:1"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_a_cluster_that_is_none_is_refused_with_an_example(config, monkeypatch, tmp_path):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(SettingError, match='multi_worker.*TF_CONFIG.*"cluster"'):
        recipes.recipe("maml", strategy="multi_worker").fit(tmp_path)


def test_a_meta_batch_that_cannot_be_shared_is_refused(monkeypatch):
    [replicas] = all_replicas(1, 2)
    monkeypatch.setattr(training_replicas, "replicas_of", lambda strategy: replicas)
    assert training_replicas.replicas_for("mirrored", 4) is replicas
    with pytest.raises(SettingError, match="meta_batch=3 must be a multiple of the 2 devices"):
        training_replicas.replicas_for("mirrored", 3)


def test_jit_compile_is_refused_beside_a_strategy():
    with pytest.raises(SettingError, match="jit_compile=True .* strategy=mirrored"):
        recipes.recipe("maml", jit_compile=True, strategy="mirrored")


def test_runs_without_a_strategy_have_the_identity_that_they_had_before_there_was_one():
    recipe = recipes.recipe("coordinatewise_lstm")
    assert not {"strategy", "meta_batch"} & set(recipe.identity())
    assert recipes.recipe("coordinatewise_lstm", meta_batch=2).identity()["meta_batch"] == 2
    assert recipes.recipe("maml", dataset="sinusoid").identity().get("strategy") is None
