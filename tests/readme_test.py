"""The README's examples work as written."""

import pathlib
import re

import keras
import numpy as np
import tensorflow_datasets as tfds

from meta_keras import data

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_python_examples(any_data, monkeypatch):
    dataset, folder = any_data
    characters = data.load_characters(dataset, folder)
    monkeypatch.setattr(data, "load_characters", lambda name: characters)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    blocks = [block for block in blocks if "tfds" not in block]
    assert len(blocks) == 2
    names = {}
    for block in blocks:
        exec(block.replace("count=1000", "count=2"), names)
        assert isinstance(names["classifier"], keras.Model)
        assert names["logits"].shape == (75, 5)
    accuracy = (names["logits"].argmax(axis=1) == np.asarray(names["y"])[0]).mean()
    assert accuracy > 0.8  # of the preset, on one episode


def test_example_of_a_learned_optimizer(monkeypatch, capsys):
    """On blobs in place of MNIST: both optimizers train, the learned one is not the worse."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 2000)
    blobs = np.clip(rng.normal(60 * rng.random((10, 784))[labels], 20), 0, 255)
    images = blobs.reshape(-1, 28, 28, 1).astype("uint8")
    monkeypatch.setattr(tfds, "load", lambda *_, **__: (images, labels))
    (block,) = (b for b in re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
                if "tfds" in b)  # fmt: skip
    names = {}
    exec(block, names)
    losses = names["losses"]
    assert set(losses) == {"LearnedOptimizer", "Adam"}
    assert losses["LearnedOptimizer"] < losses["Adam"] < 2.3
