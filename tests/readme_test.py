"""The README's examples work as written."""

import pathlib
import re

import keras
import numpy as np

from meta_keras import data

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_python_examples(any_data, monkeypatch):
    dataset, folder = any_data
    characters = data.load_characters(dataset, folder)
    monkeypatch.setattr(data, "load_characters", lambda name: characters)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(blocks) == 2
    names = {}
    for block in blocks:
        exec(block.replace("count=1000", "count=2"), names)
        assert isinstance(names["classifier"], keras.Model)
        assert names["logits"].shape == (75, 5)
    accuracy = (names["logits"].argmax(axis=1) == np.asarray(names["y"])[0]).mean()
    assert accuracy > 0.8  # of the preset, on one episode
