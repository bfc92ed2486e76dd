"""Tests of the answer "none of these" to photographs, from folders to results."""

import shutil

import keras
import numpy as np
import pytest

from meta_keras import recognition
from tests.own_photographs import COLOURS, classify, predictions, results


def test_the_threshold_is_the_logit_of_none_of_these(folders, backbone):
    """By NumPy; the logit of a class is minus ten times the squared distance to its mean."""
    classify(folders, backbone, reject=True)
    rows, threshold = predictions(folders), results(folders)["threshold"]
    reader = recognition.Photographs(backbone, "l2n")
    support, _, _, _ = reader.read(sorted((folders / "support").rglob("*.png")))
    query, _, _, _ = reader.read([folders / "query" / row["file"] for row in rows])
    support, query = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (support, query))
    means = support.reshape(3, 3, -1).mean(axis=1)
    logits = -10 * np.square(query[:, None] - means).sum(axis=-1)
    found = np.array([[float(value) for value in list(row.values())[2:]] for row in rows])
    expected = np.exp(np.pad(logits, [(0, 0), (0, 1)], constant_values=threshold))
    np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True), atol=2e-5)
    best = logits.max(axis=1)
    np.testing.assert_array_equal(
        best < threshold, [row["predicted"] == recognition.NONE for row in rows]
    )


def test_single_examples_and_nothing_but_strangers(folders, backbone):
    for file in (folders / "support").rglob("[12].png"):
        file.unlink()
    for name in COLOURS:
        for file in (folders / "query" / name).iterdir():
            file.unlink()
    (_, accuracy, _), told, _ = classify(folders, backbone, reject=True)
    assert accuracy is None and results(folders)["rejected_of_classes"] is None
    assert not any("folders of classes" in sentence for sentence in told)
    assert any("of the 4 pictures in other folders" in sentence for sentence in told)
    assert any("two or more would tell" in sentence for sentence in told)


@pytest.mark.parametrize("without", [None, "red"])
def test_strangers_are_rejected(folders, without, tmp_path):
    """Yellow, where there are three other colours, and where there are two."""
    keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Rescaling(1 / 128, -1),
            keras.layers.GlobalAveragePooling2D(),
        ]
    ).save(tmp_path / "colours.keras")
    if without:
        shutil.rmtree(folders / "support" / without)
        shutil.rmtree(folders / "query" / without)
    classify(folders, str(tmp_path / "colours.keras"), reject=True)
    found = results(folders)
    assert found["rejected_of_others"] >= 0.75 and found["rejected_of_classes"] <= 0.25
    assert found["left_out"]["known_accepted"] >= 0.75
    assert found["left_out"]["strangers_rejected"] >= 0.75
