"""The recipe of regression on sine waves."""

import json

import keras
import numpy as np
import pytest

from meta_keras import MAML, recipes
from meta_keras.data import sinusoids
from meta_keras.errors import SettingError
from meta_keras.layers import GradientDescentCell
from meta_keras.recipes.sinusoid import METHODS, errors_after_steps

SHORT = {
    "episodes": 8,
    "meta_batch": 2,
    "validation_interval": 4,
    "validation_episodes": 2,
    "test_episodes": 2,
    "test_steps": 2,
}


@pytest.mark.parametrize("method", METHODS)
def test_fit(method, tmp_path, plain_runtime, eagerly):
    recipe = recipes.recipe(method, dataset="sinusoid", **SHORT)
    assert recipe.learner().method == method
    results = recipe.fit(tmp_path / "run", verbose=False)
    assert results == json.loads((tmp_path / "run" / "results.json").read_text())
    assert (results["method"], results["dataset"]) == (method, "sinusoid")
    assert len(results["test_errors"]) == len(results["test_errors_ci95"]) == 3
    assert np.isfinite(results["test_errors"]).all() and results["validation_loss"] > 0
    for name in ("episode.png", "errors.png", "best.keras"):
        assert (tmp_path / "run" / name).is_file()
    again = recipe.fit(tmp_path / "run", verbose=False, eval_only=True)
    assert again["test_errors"] == results["test_errors"]


def test_errors_after_steps(eagerly):
    """Entry 0 is the network's own error, entry s that after s steps by hand."""
    recipe = recipes.Sinusoid(units=(4,))
    learner = recipe.learner()
    episodes = sinusoids(seed=0, count=3, nquery=6)
    errors, intervals = errors_after_steps(learner, episodes, 2)
    assert learner.test_inner_steps is None
    network = keras.models.clone_model(learner.network)
    expected = []
    for x, y in episodes.as_numpy_iterator():
        network.set_weights(learner.network.get_weights())
        network.compile(keras.optimizers.SGD(0.01), "mse")
        path = []
        for _ in range(3):
            path.append(np.mean((np.array(network(x["query_images"][0])) - y[0]) ** 2))
            network.train_on_batch(x["support_images"][0], x["support_labels"][0])
        expected.append(path)
    np.testing.assert_allclose(errors, np.mean(expected, axis=0), rtol=1e-4)
    half = 1.96 * np.std(expected, axis=0, ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(intervals, half, rtol=1e-3)


def test_settings():
    recipe = recipes.recipe("maml", dataset="sinusoid")
    assert isinstance(recipe, recipes.Sinusoid) and isinstance(recipe.learner(), MAML)
    assert isinstance(recipe.learner().cell, GradientDescentCell)
    assert recipes.recipe("reptile", dataset="sinusoid").inner_steps == 5
    assert recipe.default_logdir() == "runs/maml-sinusoid-10shot"
    for name, settings, message in (
        ("prototypical", {}, "method=prototypical must be one of maml"),
        ("maml", {"nway": 5}, "nway=5 does not apply"),
        ("lstm", {"inner_learning_rate": 2.0}, "inner_learning_rate=2.0 must be below 1"),
        ("maml", {"preset": "x"}, "preset=x does not apply"),
    ):
        with pytest.raises(SettingError, match=message):
            recipes.recipe(name, dataset="sinusoid", **settings)
    with pytest.raises(SettingError, match="settings of its own"):
        recipes.MAML(dataset="sinusoid")
