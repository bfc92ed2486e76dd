"""Tests of frozen backbones' features and of the heads on them, through the program too."""

import json

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from experiments import backbone as program
from experiments.program import parse
from meta_keras import networks
from meta_keras.data.episodes import choose
from meta_keras.errors import BackboneError, DatasetError, SettingError
from meta_keras.recipes import BackboneTest
from meta_keras.recipes.features import cached_features

COLOURS = {"apple": (200, 30, 30), "leaf": (30, 200, 30), "sea": (30, 30, 200)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("META_KERAS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def backbone_file(tmp_path):
    """Sees 16x16 pixels, gives six numbers."""
    network = keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Rescaling(1 / 255), layers.Conv2D(6, 8, strides=8)]
    )
    network.save(tmp_path / "tiny.keras")
    return str(tmp_path / "tiny.keras")


@pytest.fixture
def photographs(tmp_path):
    """Four noisy photographs of every colour."""
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.clip(colour + rng.normal(0, 60, (20, 20, 3)), 0, 255).astype("uint8")
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    return str(tmp_path / "photos")


SMALL = {"kshot": (1, 2), "test_nquery": 2, "test_episodes": 4}


def test_features_are_computed_once(backbone_file, cache, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (70, 16, 16, 3), dtype=np.uint8)
    backbone = networks.load_backbone(backbone_file)
    calls = []
    predict = backbone.predict_on_batch
    monkeypatch.setattr(backbone, "predict_on_batch", lambda x: calls.append(len(x)) or predict(x))
    first = cached_features(backbone_file, backbone, images)
    assert calls == [64, 6] and first.dtype == np.float32
    np.testing.assert_allclose(first, backbone(images / np.float32(255)), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(cached_features(backbone_file, backbone, images), first)
    assert len(calls) == 2
    # Other pictures, another variant, another file, a damaged cache: anew.
    cached_features(backbone_file, backbone, images[::-1])
    cached_features(backbone_file, backbone, images, "mirror")
    with open(backbone_file, "ab") as file:
        file.write(b"x")
    cached_features(backbone_file, backbone, images)
    assert len(calls) == 8
    for file in cache.rglob("*.npz"):
        file.write_bytes(file.read_bytes()[:-100])
    np.testing.assert_array_equal(cached_features(backbone_file, backbone, images), first)
    assert len(calls) == 10


def nearest_mean(support, labels, query):
    means = np.array([support[labels == n].mean(0) for n in np.unique(labels)])
    return ((query[:, None] - means) ** 2).sum(-1).argmin(1)


def ridge(support, labels, query):
    unit = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in (support, query)]
    system = unit[0].T @ unit[0] + 0.5 * np.eye(support.shape[1])
    weights = np.linalg.solve(system, unit[0].T @ np.eye(3)[labels])
    return (unit[1] @ weights).argmax(1)


def test_accuracies_are_those_of_the_draws(backbone_file, photographs):
    recipe = BackboneTest(backbone=backbone_file, data_dir=photographs, **SMALL)
    found = recipe.accuracies()
    assert set(found) == {
        (name, kshot) for name in ("nearest mean", "SimpleShot", "ridge") for kshot in (1, 2)
    }
    features, places = recipe.load()
    assert places.shape == (3, 4)
    for kshot in (1, 2):
        labels, answers = np.arange(3).repeat(kshot), np.arange(3).repeat(2)
        for name, head in (("nearest mean", nearest_mean), ("ridge", ridge)):
            expected = []
            for index in range(4):
                drawn = features[choose(places, np.int64(0), np.int64(index), 3, 4)[1].numpy()]
                support, query = (
                    part.reshape(-1, 6).astype(float) for part in (drawn[:, :kshot], drawn[:, 2:])
                )
                expected.append(np.mean(head(support, labels, query) == answers))
            np.testing.assert_allclose(found[name, kshot], expected)


def test_program(backbone_file, photographs, tmp_path, capsys):
    values = parse(
        program.define_flags,
        [
            f"--backbone={backbone_file}", f"--data_dir={photographs}", "--kshot=1,2",
            "--test_nquery=2", "--test_episodes=3", "--nway=2", "--nomirror", "--per_class=4",
            f"--logdir={tmp_path / 'run'}",
        ],
    )  # fmt: skip
    program.main(values)
    lines = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in lines[0].split("|")[1:4]] == [
        "head", "1-shot, %", "2-shot, %",
    ]  # fmt: skip
    assert lines[4].split("|")[1].strip() == "ridge"
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["experiment"] == "backbone" and len(results["heads"]) == 6
    assert all(0 <= row["test_accuracy"] <= 1 for row in results["heads"])
    assert results["flags"]["mirror"] is False and results["flags"]["kshot"] == [1, 2]


def test_refusals(backbone_file, photographs, tmp_path):
    with pytest.raises(SettingError, match="name a `backbone`"):
        BackboneTest(data_dir=photographs)
    with pytest.raises(SettingError, match="dataset=folder needs `data_dir`"):
        BackboneTest(backbone=backbone_file)
    given = {"backbone": backbone_file, "data_dir": photographs}
    with pytest.raises(SettingError, match="per_class=3 must be at least kshot=2 plus"):
        BackboneTest(**given, **SMALL, per_class=3)
    with pytest.raises(SettingError, match="nway=4 is more than the 3 classes"):
        BackboneTest(**given, **SMALL, nway=4).accuracies()
    with pytest.raises(DatasetError, match=r"kshot=5 \+ test_nquery=15"):
        BackboneTest(**given).load()
    with pytest.raises(BackboneError, match="backbone=nothing is neither"):
        BackboneTest(**given | {"backbone": "nothing"}).load()
    keras.Sequential([keras.Input((16, 8, 3)), layers.Flatten()]).save(tmp_path / "wide.keras")
    with pytest.raises(BackboneError, match="of 16x8x3, and photographs are squares"):
        BackboneTest(**given | {"backbone": tmp_path / "wide.keras"}).load()
