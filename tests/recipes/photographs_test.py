"""Tests of few-shot recipes on photographs: shapes, defaults, refusals, runs, presets."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from experiments import few_shot, program
from meta_keras import networks, recipes
from meta_keras.data import load_photograph_folder
from meta_keras.errors import DatasetError, SettingError
from meta_keras.recipes import published
from meta_keras.recipes.episodic import EpisodeData

METHODS = recipes.few_shot_names()


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({}, (28, 28, 1)),
        ({"dataset": "glyphs", "image_size": 20}, (20, 20, 1)),
        ({"dataset": "cifar_fs"}, (32, 32, 3)),
        ({"dataset": "fc100", "image_size": 40}, (40, 40, 3)),
        ({"dataset": "mini_imagenet"}, (84, 84, 3)),
        ({"dataset": "tfds:beans"}, (84, 84, 3)),
        ({"dataset": "folder", "data_dir": "."}, (28, 28, 1)),
        ({"dataset": "folder", "data_dir": ".", "pictures": "photographs"}, (84, 84, 3)),
    ],
)
def test_image_shape(settings, shape):
    assert recipes.recipe("lstm", **settings).image_shape == shape


@pytest.mark.parametrize("name", METHODS)
def test_learners_take_photographs(name):
    learner = recipes.recipe(name, dataset="cifar_fs", filters=2).learner()
    assert learner.network.input_shape[1:] == (32, 32, 3)
    first = learner.network.layers[1]
    mean, deviation = (np.array(part) for part in networks.PHOTOGRAPHS)
    np.testing.assert_allclose(first(mean[None, None, None]), 0, atol=1e-6)
    np.testing.assert_allclose(first((mean + deviation)[None, None, None]), 1, atol=1e-6)
    assert "normalization" not in [la.name for la in recipes.recipe(name).learner().network.layers]


def test_defaults_depend_on_the_pictures():
    names = ["train_nway", "train_kshot", "nquery", "pools", "rotations", "augment", "split"]
    for settings, expected in (
        ({}, [60, None, 2, 3, True, "none", "random"]),
        ({"dataset": "cifar_fs"}, [16, 2, 5, 4, False, "crop_flip", "published"]),
        ({"dataset": "tfds:beans"}, [16, 2, 5, 4, False, "crop_flip", "random"]),
        ({"dataset": "tfds:beans", "split_dir": "x"}, [16, 2, 5, 4, False, "crop_flip", "lists"]),
    ):
        values = recipes.recipe("prototypical", **settings).values()
        assert [values[name] for name in names] == expected
    assert recipes.recipe("siamese", dataset="cifar_fs").train_kshot == 1


def test_runs_on_characters_do_not_tell_their_pictures():
    """Those that began when there were no others have to go on."""
    identity = recipes.recipe("maml", dataset="glyphs").values(decides=True)
    assert {"pictures", "augment", "image_size"} <= set(identity)
    recipe = recipes.recipe("maml", dataset="glyphs")
    recipe.use_data(EpisodeData({}, "glyphs", "", 5, {}))
    assert not {"pictures", "augment", "image_size"} & set(recipe.identity())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dataset": "cifar_fs", "rotations": True}, "rotations=True is for characters"),
        ({"dataset": "omniglot", "augment": "crop_flip"}, "augment=crop_flip is for photographs"),
        ({"dataset": "glyphs", "pictures": "photographs"}, "does not go with dataset=glyphs"),
        ({"dataset": "fc100", "pictures": "characters"}, "does not go with dataset=fc100"),
        ({"dataset": "cifar_fs", "split": "lake"}, "must be published or random"),
        ({"dataset": "cifar_fs", "split_dir": "x"}, "split_dir=x does not go with split=published"),
        ({"dataset": "tfds:beans", "split": "published"}, "must be random or lists"),
        ({"dataset": "tfds:beans", "split": "lists"}, "split=lists needs `split_dir`"),
        ({"dataset": "omniglot", "split": "lists"}, "must be random or vinyals or lake"),
        ({"dataset": "cifar_fs", "split": "random", "split_dir": "x"}, "split_dir=x does not go"),
        ({"dataset": "omniglot", "split_dir": "x"}, "split_dir=x does not go with split=random"),
        ({"dataset": "glyphs", "manual_dir": "x"}, "manual_dir=x does not go with dataset=glyphs"),
        ({"dataset": "cifar_fs", "architecture": "resnet12", "pools": 3}, "pools=3 does not go"),
        ({"dataset": "cifar_fs", "test_nquery": 600}, "at most 600, the pictures of a class"),
        ({"dataset": "cifar_fs", "image_size": 15}, "image_size=15 must be at least 16"),
        ({"dataset": "cifar_fs", "augment": "rotate"}, "must be one of none, crop_flip, crop_fli"),
        ({"dataset": "tfds:"}, "dataset=tfds: must be one of .*tfds:NAME"),
        ({"dataset": "cifar_fs", "preset": "prototypical_omniglot"}, None),
    ],
)
def test_refusals(settings, words):
    shapes = (
        r"for pictures of shape \(28, 28, 1\), not \(32, 32, 3\), that of dataset=cifar_fs and "
    )
    words = words or shapes + "image_size=32"
    with pytest.raises(SettingError, match=words):
        recipes.recipe("prototypical", **settings).learner()


def test_a_residual_network():
    learner = recipes.recipe("prototypical", dataset="cifar_fs", architecture="resnet12").learner()
    assert learner.embedding.output_shape == (None, 640)
    assert learner.embedding.input_shape == (None, 32, 32, 3)


def test_folders_of_runs_tell_their_data():
    for settings, name in (
        ({}, "runs/prototypical-5way-1shot"),
        ({"dataset": "omniglot"}, "runs/prototypical-5way-1shot"),
        ({"dataset": "cifar_fs"}, "runs/prototypical-cifar_fs-5way-1shot"),
        ({"dataset": "tfds:beans"}, "runs/prototypical-tfds-beans-5way-1shot"),
    ):
        assert recipes.recipe("prototypical", **settings).default_logdir() == name


def test_published_figures_are_of_the_same_protocol():
    """Figures of the papers, as (1 shot, 5 shots) on miniImageNet."""

    def found(method, kshot=1, batch_norm="inductive", **flags):
        results = {"nway": 5, "kshot": kshot, "dataset": "mini_imagenet", "split": "published"}
        results |= {"batch_norm": batch_norm, "flags": flags}
        return published.compare(results, recipes.recipe_class(method).published)

    assert found("maml", batch_norm="transductive")[0] == (48.70, 1.84)
    assert found("maml", batch_norm="transductive", anil=True)[0] == (46.7, 0.4)
    assert found("maml", anil=False)[0] is None
    assert found("maml", 5, batch_norm="transductive", anil=False)[0] == (63.11, 0.92)
    assert found("lstm", anil=True)[0] is None
    assert found("reptile")[0] == (47.07, 0.26)
    assert found("reptile", batch_norm="transductive")[0] == (49.97, 0.32)
    assert found("matching", 5, full_context=True)[0] == (55.31, 0.73)
    assert found("matching", 5, full_context=False)[0] == (51.09, 0.71)
    assert found("r2d2")[0] == (49.5, None)
    others = {"image_size": 32}, {"architecture": "resnet12"}
    for flags, words in zip(others, ("with image_size=84", "with architecture=conv4"), strict=True):
        figure, why = found("prototypical", **flags)
        assert figure is None and words in why
    assert found("prototypical", image_size=84, architecture="conv4")[0] == (49.42, 0.78)


def test_a_relation_network_needs_maps():
    with pytest.raises(SettingError, match="image_size=20 must be at least 22"):
        recipes.recipe("relation", dataset="cifar_fs", image_size=20)
    recipes.recipe("relation", dataset="cifar_fs", image_size=22, filters=2).learner()


@pytest.fixture
def classes(tmp_path):
    """Fifteen classes of four to six pictures, each class in a colour of its own."""
    rng = np.random.default_rng(0)
    for number in range(15):
        folder = tmp_path / "data" / f"class {number:02}"
        folder.mkdir(parents=True)
        for picture in range(4 + number % 3):
            pixels = rng.integers(0, 40, (20, 16, 3)) + [14 * number, 200 - 10 * number, 90]
            Image.fromarray(np.uint8(pixels)).save(folder / f"{picture}.png")
    return tmp_path / "data"


@pytest.fixture
def flags(classes, tmp_path, monkeypatch):
    monkeypatch.setenv("META_KERAS_CACHE_DIR", str(tmp_path / "cache"))
    return [
        "--method=prototypical", "--dataset=folder", f"--data_dir={classes}", "--nway=3",
        "--pictures=photographs", "--image_size=16", "--train_nway=4", "--train_kshot=1",
        "--nquery=2", "--test_nquery=3", "--filters=2", "--episodes=4", "--validation_interval=2",
        "--validation_episodes=2", "--test_episodes=3",
    ]  # fmt: skip


def run(*arguments):
    return few_shot.main(program.parse(few_shot.define_flags, [*map(str, arguments)]))


def test_a_run(flags, classes, tmp_path, plain_runtime, eagerly):
    results = run(*flags, f"--logdir={tmp_path / 'run'}")
    expected = {"dataset": "folder", "split": "random", "rotations": False, "train_episodes": 4}
    assert {name: results[name] for name in expected} == expected
    assert results == json.loads((tmp_path / "run" / "results.json").read_text())
    picture = tf.io.decode_png(tf.io.read_file(str(tmp_path / "run" / "episode.png"))).numpy()
    assert np.ptp(picture.astype(int), axis=-1).max() > 100  # in colour
    # The same command again only tests; other pictures are another run.
    assert run(*flags, f"--logdir={tmp_path / 'run'}")["test_accuracy"] == results["test_accuracy"]
    Image.new("RGB", (16, 16)).save(classes / "class 04" / "0.png")
    with pytest.raises(SettingError, match="fingerprint: '"):
        run(*flags, f"--logdir={tmp_path / 'run'}")


def test_lists_of_classes(flags, classes, tmp_path):
    lists = tmp_path / "lists"
    lists.mkdir()
    for stem, numbers in (("train", range(4)), ("val", range(4, 7)), ("test", (7, 12, 9))):
        (lists / f"{stem}.txt").write_text("".join(f"class {n:02}\n" for n in numbers))
    values = program.parse(few_shot.define_flags, [*flags, f"--split_dir={lists}"])
    settings = few_shot.recipe_flags.given(few_shot.RECIPES, values)
    recipe = recipes.recipe(settings.pop("method"), **settings)
    assert recipe.split == "lists"
    assert recipe.data.parts["test"].names.tolist() == ["class 07", "class 09", "class 12"]
    everything = load_photograph_folder(classes, 16)
    assert len(everything) == 15
    # Only training pictures are shifted and mirrored.
    for part, augmented in (("train", True), ("test", False)):
        x, _ = next(iter(recipe.episodes(part)))
        drawn = np.rint(np.asarray(x["support_images"][0]) * 255).astype(np.uint8)
        found = [(everything.images == image).all(axis=(1, 2, 3)).any() for image in drawn]
        assert all(found) != augmented


def test_too_few_pictures_or_classes(flags, tmp_path):
    with pytest.raises(DatasetError, match=r"7 pictures it needs .*lower `test_nquery`"):
        run(*flags, "--test_nquery=6", f"--logdir={tmp_path / 'run'}")
    with pytest.raises(SettingError, match=r"nway=4 is more than the 3 classes .*, 1/5 of all"):
        run(*flags, "--nway=4", f"--logdir={tmp_path / 'run'}")
