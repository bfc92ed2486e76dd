"""Tests of frozen backbones, made of tiny files and of tiny stand-ins for `keras.applications`."""

import pathlib

import keras
import numpy as np
import pytest
from keras import layers

from meta_keras.errors import BackboneError
from meta_keras.networks import load_backbone

MEANS = {"caffe": [103.939, 116.779, 123.68], "torch": [0.485, 0.456, 0.406]}


@pytest.fixture
def pictures():
    return np.random.default_rng(0).uniform(size=(3, 8, 8, 3)).astype("float32")


@pytest.fixture
def make_file(tmp_path):
    """Function that saves a tiny network of layers on 8x8 pixels; returns its path and itself."""

    def make(*inner, input_shape=(8, 8, 3)):
        network = keras.Sequential([keras.Input(input_shape), *inner])
        network.save(tmp_path / "network.keras")
        return tmp_path / "network.keras", network

    return make


def test_a_file_sees_pixels_and_is_frozen(make_file, pictures, tmp_path):
    """The same in training, also of batch normalisation and dropout; saved and loaded too."""
    path, network = make_file(
        layers.Conv2D(4, 3),
        layers.BatchNormalization(),
        layers.Dropout(0.5),
        layers.GaussianNoise(0.5),
        layers.SpatialDropout2D(0.5),
        layers.GlobalAveragePooling2D(),
    )
    backbone = load_backbone(path)
    assert backbone.input_shape == (None, 8, 8, 3) and backbone.output_shape == (None, 4)
    expected = network(255 * pictures)
    backbone.save(tmp_path / "backbone.keras")
    for one in (backbone, keras.models.load_model(tmp_path / "backbone.keras")):
        assert not one.trainable_variables
        for training in (False, True):
            np.testing.assert_allclose(one(pictures, training=training), expected, rtol=1e-5)


def test_feature_maps_are_averaged(make_file, pictures):
    path, network = make_file(layers.Conv2D(4, 3))
    expected = np.mean(network(255 * pictures), axis=(1, 2))
    np.testing.assert_allclose(load_backbone(str(path))(pictures), expected, rtol=1e-4)


def test_mirror_images_count_half(make_file, pictures, tmp_path):
    path, network = make_file(layers.Conv2D(4, 3))
    backbone = load_backbone(path, mirror=True)
    backbone.save(tmp_path / "backbone.keras")
    views = [np.mean(network(255 * x), axis=(1, 2)) for x in (pictures, pictures[:, :, ::-1])]
    assert np.abs(views[0] - views[1]).max() > 1e-2
    for one in (backbone, keras.models.load_model(tmp_path / "backbone.keras")):
        np.testing.assert_allclose(one(pictures), np.mean(views, axis=0), rtol=1e-4)


def test_pictures_of_another_size_and_in_grey(make_file):
    path, _ = make_file(layers.Flatten())
    ones = np.full((1, 4, 4, 1), 0.2, "float32")
    backbone = load_backbone(path, image_shape=(4, 4, 1))
    assert backbone.input_shape == (None, 4, 4, 1)
    np.testing.assert_allclose(backbone(ones), np.full((1, 8 * 8 * 3), 51.0), rtol=1e-5)


def test_a_network_for_any_size(make_file, pictures):
    path, _ = make_file(layers.GlobalAveragePooling2D(), input_shape=(None, None, 3))
    assert load_backbone(path).input_shape == (None, 224, 224, 3)
    np.testing.assert_allclose(
        load_backbone(path, (8, 8, 3))(pictures), 255 * pictures.mean((1, 2)), rtol=1e-4
    )


@pytest.fixture
def stand_in(monkeypatch):
    """Function that makes `keras.applications.Tiny`, with the preprocessing of a real module."""

    def make(module):
        def tiny(*, include_top=True, weights="imagenet", input_shape=(8, 8, 3), pooling=None):
            images = keras.Input(input_shape)
            outputs = layers.Flatten()(images)
            if include_top:
                outputs = layers.Dense(10)(outputs)
            return keras.Model(images, outputs)

        tiny.__module__ = f"keras.src.applications.{module}"
        monkeypatch.setattr(keras.applications, "Tiny", tiny, raising=False)

    return make


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("mobilenet_v2", lambda x: 2 * x - 1),
        ("resnet", lambda x: 255 * x[..., ::-1] - MEANS["caffe"]),
        ("densenet", lambda x: (x - MEANS["torch"]) / [0.229, 0.224, 0.225]),
        ("efficientnet", lambda x: 255 * x),
    ],
)
def test_preprocessing_of_applications(stand_in, module, expected, pictures, tmp_path):
    stand_in(module)
    backbone = load_backbone("Tiny")
    backbone.save(tmp_path / "backbone.keras")
    for one in (backbone, keras.models.load_model(tmp_path / "backbone.keras")):
        np.testing.assert_allclose(
            one(pictures), expected(pictures).reshape(3, -1), rtol=1e-4, atol=1e-4
        )


def test_weights_that_cannot_be_downloaded(stand_in, monkeypatch):
    stand_in("resnet")
    tiny = keras.applications.Tiny

    def offline(include_top=True, **options):
        if not include_top:
            raise Exception("URL fetch failure on https://host: None -- Name or service not known")
        return tiny(**options)

    offline.__module__ = tiny.__module__
    monkeypatch.setattr(keras.applications, "Tiny", offline)
    with pytest.raises(BackboneError, match=r"backbone=Tiny: .*ImageNet weights \(URL fetch fail"):
        load_backbone("Tiny")


def test_refusals(make_file, tmp_path):
    with pytest.raises(BackboneError, match=r"backbone=LeNet is neither .*MobileNetV2, .*VGG16"):
        load_backbone("LeNet")
    with pytest.raises(BackboneError, match=r"backbone=.*no\.keras cannot be read \(No such file"):
        load_backbone(tmp_path / "no.keras")
    (tmp_path / "text.keras").write_text("not a model")
    with pytest.raises(BackboneError, match=r"backbone=.*text\.keras is damaged"):
        load_backbone(tmp_path / "text.keras")
    path, _ = make_file(layers.Dense(2), input_shape=(5,))
    with pytest.raises(BackboneError, match=r"from \(None, 5\) to \(None, 2\), not one from pict"):
        load_backbone(path)
    path, _ = make_file(layers.Flatten())
    with pytest.raises(BackboneError, match=r"of 3 channels, not of image_shape=\(8, 8, 4\)"):
        load_backbone(path, (8, 8, 4))
    path, _ = make_file(layers.RandomFlip(), layers.Flatten())
    with pytest.raises(BackboneError, match=r"'random_flip.*' \(RandomFlip\) draws random numbers"):
        load_backbone(path)
    path, _ = make_file(layers.Lambda(lambda x: x))
    with pytest.raises(BackboneError, match="holds a Lambda, that is Python code"):
        load_backbone(pathlib.Path(path))
