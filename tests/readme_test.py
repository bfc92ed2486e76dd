"""The README's examples work as written."""

import pathlib
import re

import keras
import numpy as np
import tensorflow_datasets as tfds

from meta_keras import data

README = pathlib.Path(__file__).parents[1] / "README.md"
# Fewer episodes than a reader would wait for.
SHORTER = {
    "count=1000": "count=2",
    "episodes=2000": "episodes=2, validation_episodes=2, test_episodes=2, train_nway=5",
}


def _blocks():
    return re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)


def _shortened(block):
    for long, short in SHORTER.items():
        block = block.replace(long, short)
    return block


def test_python_examples(any_data, monkeypatch, tmp_path):
    dataset, folder = any_data
    characters = data.load_characters(dataset, folder)
    monkeypatch.setattr(data, "load_characters", lambda *_: characters)
    monkeypatch.chdir(tmp_path)  # runs are left in the folder one is in
    blocks = [block for block in _blocks() if "tfds" not in block]
    assert len(blocks) == 2
    names = {}
    for block in blocks:
        names["classifier"] = names["logits"] = None
        exec(_shortened(block), names)
        assert isinstance(names["classifier"], keras.Model)
        assert names["logits"].shape == (75, 5)
        if "from_preset" in block:
            accuracy = (names["logits"].argmax(axis=1) == np.asarray(names["y"])[0]).mean()
            assert accuracy > 0.8  # on one episode
    assert sum("from_preset" in block for block in blocks) == 1
    assert names["results"]["test_episodes"] == 2
    learner = keras.models.load_model(tmp_path / "runs" / "prototypical" / "best.keras")
    assert learner.method == names["results"]["method"] == "prototypical"


def test_the_commands_are_there():
    """Continuous integration runs the second one as it stands in the README."""
    commands = re.findall(r"^    (python3 -m venv .*)$", README.read_text(), flags=re.MULTILINE)
    assert ["experiments.few_shot" in c for c in commands] == [True, False]
    assert ["pytest" in c for c in commands] == [False, True]


def test_links_lead_to_files():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README.read_text())
    assert "docs/index.md" in targets
    assert [target for target in targets if not (README.parent / target).exists()] == []


def test_example_of_a_learned_optimizer(monkeypatch, capsys):
    """On blobs in place of MNIST: both optimizers train, the learned one is not the worse."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 2000)
    blobs = np.clip(rng.normal(60 * rng.random((10, 784))[labels], 20), 0, 255)
    images = blobs.reshape(-1, 28, 28, 1).astype("uint8")
    monkeypatch.setattr(tfds, "load", lambda *_, **__: (images, labels))
    (block,) = (block for block in _blocks() if "tfds" in block)
    names = {}
    exec(block, names)
    losses = names["losses"]
    assert set(losses) == {"LearnedOptimizer", "Adam"}
    assert losses["LearnedOptimizer"] < losses["Adam"] < 2.3
