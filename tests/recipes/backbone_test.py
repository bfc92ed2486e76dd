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
from meta_keras.training.feature_cache import FeatureCache

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
    """For every picture, whatever it is among."""
    images = np.random.default_rng(0).integers(0, 256, (70, 16, 16, 3), dtype=np.uint8)
    backbone = networks.load_backbone(backbone_file)
    calls = []
    predict = backbone.predict_on_batch
    monkeypatch.setattr(backbone, "predict_on_batch", lambda x: calls.append(len(x)) or predict(x))

    def features(images, variant=""):
        with FeatureCache(backbone_file, backbone, variant) as cache:
            return cache(images)

    first = features(images)
    assert calls == [64, 64] and first.dtype == np.float32
    np.testing.assert_allclose(first, backbone(images / np.float32(255)), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(features(images), first)
    np.testing.assert_array_equal(features(images[::-2]), first[::-2])
    assert len(calls) == 2
    # Others among them: these alone, one that is there twice once.
    more = np.concatenate([images[:3], 255 - images[:2], 255 - images[:1]])
    found = features(more)
    np.testing.assert_array_equal(found[:3], first[:3])
    np.testing.assert_array_equal(found[3], found[5])
    np.testing.assert_allclose(found[4], backbone(more[4:5] / np.float32(255))[0], rtol=1e-4)
    assert len(calls) == 3
    # Another variant, another file, a damaged cache: anew.
    features(images, "mirror")
    with open(backbone_file, "ab") as file:
        file.write(b"x")
    features(images)
    assert len(calls) == 7
    for file in cache.rglob("*.npz"):
        file.write_bytes(file.read_bytes()[:-100])
    np.testing.assert_array_equal(features(images), first)
    assert len(calls) == 9


def test_what_was_computed_before_an_interruption_is_kept(backbone_file, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (70, 16, 16, 3), dtype=np.uint8)
    backbone = networks.load_backbone(backbone_file)
    expected, predict, calls = backbone(images / np.float32(255)), backbone.predict_on_batch, []

    def interrupted(x):
        calls.append(len(x))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return predict(x)

    monkeypatch.setattr(backbone, "predict_on_batch", interrupted)
    with pytest.raises(KeyboardInterrupt), FeatureCache(backbone_file, backbone) as features:
        features(images)
    found = FeatureCache(backbone_file, backbone)(images)
    assert len(calls) == 3  # 64, none of the other 6, those 6
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_cache_of_a_name_does_not_depend_on_where_one_is(backbone_file, tmp_path, monkeypatch):
    backbone = networks.load_backbone(backbone_file)
    places = set()
    for folder in (tmp_path, "/"):
        monkeypatch.chdir(folder)
        places.add(FeatureCache("MobileNetV2", backbone).file)
    assert len(places) == 1


def test_nothing_that_was_saved_is_overwritten(backbone_file, photographs, tmp_path):
    def fit(folder, **settings):
        recipe = BackboneTest(backbone=backbone_file, data_dir=photographs, **SMALL, **settings)
        return recipe.fit(folder, verbose=False)

    first = fit(tmp_path / "run")
    assert fit(tmp_path / "run")["heads"] == first["heads"]
    with pytest.raises(SettingError, match=r"other settings \(ridge: 0.5 there, 0.1 now\)"):
        fit(tmp_path / "run", ridge=0.1)
    for name, content in (("results.json", '{"experiment": "few_shot"}'), ("flags.json", "{}")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text(content)
        with pytest.raises(SettingError, match="logdir=.* holds something else"):
            fit(folder)
        assert (folder / name).read_text() == content


def nearest_mean(support, labels, query):
    means = np.array([support[labels == n].mean(0) for n in np.unique(labels)])
    return ((query[:, None] - means) ** 2).sum(-1).argmin(1)


def ridge(support, labels, query):
    unit = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in (support, query)]
    system = unit[0].T @ unit[0] + 0.5 * np.eye(support.shape[1])
    weights = np.linalg.solve(system, unit[0].T @ np.eye(3)[labels])
    return (unit[1] @ weights).argmax(1)


def simple_shot(support, labels, query):
    means = np.array([support[labels == n].mean(0) for n in np.unique(labels)])
    centred = support - means.mean(0), query - means.mean(0)
    unit = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in centred]
    return nearest_mean(unit[0], labels, unit[1])


HEADS = {"nearest mean": nearest_mean, "SimpleShot": simple_shot, "ridge": ridge}


def test_accuracies_are_those_of_the_draws(backbone_file, photographs):
    recipe = BackboneTest(backbone=backbone_file, data_dir=photographs, **SMALL)
    found = recipe.accuracies()
    assert set(found) == {(name, kshot) for name in HEADS for kshot in (1, 2)}
    features, places = recipe.load()
    assert places.shape == (3, 4)
    for kshot in (1, 2):
        labels, answers = np.arange(3).repeat(kshot), np.arange(3).repeat(2)
        for name, head in HEADS.items():
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
