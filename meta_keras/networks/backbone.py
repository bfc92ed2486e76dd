"""Frozen backbones: networks that others have trained, from pictures to features."""

import inspect
import pathlib
import sys

import keras
from keras import layers, ops

from meta_keras.batch_norm import all_layers, generator_states
from meta_keras.errors import BackboneError
from meta_keras.presets import model_file

# What the random layers of Keras that act in training only call their strength: none at 0.
ANY_SIZE = 224  # pixels a side, for networks that take any
STRENGTHS = ("rate", "stddev", "drop_path_rate")


def load_backbone(path_or_name, image_shape=None, mirror=False):
    """A frozen network from pictures to features, with all that it does to pictures inside.

        pictures in [0, 1] -> resized to its own size -> pixels 0..255 -> its own preprocessing
        -> network -> average over the places, where it gives maps -> features

    Nothing of it is trained: it computes the same in training as elsewhere (batch normalisation by
    its own statistics, dropout 0). The result is made of Keras' own layers and operations alone,
    as far as a file's are, so that it saves and loads without this package.

    Args:
        path_or_name: path of a `.keras` file whose model takes pixels 0..255 in RGB, and gives
            features `[batch, D]` or feature maps `[batch, h, w, D]`; a model that takes other
            numbers begins with a `keras.layers.Rescaling` of its own. Or a name of
            [`keras.applications`](https://keras.io/api/applications/), such as `"MobileNetV2"`,
            whose ImageNet weights Keras downloads once and keeps.
        image_shape: `(height, width, channels)` of the pictures; by default the backbone's own, of
            one that takes any size 224x224.
            Pictures of one channel are shown to a backbone of three in grey.
        mirror: whether features are the mean of those of a picture and of its mirror image: for
            twice the time, somewhat better ones of whatever has no left and right.

    Returns:
        A built functional `keras.Model`, `[batch, *image_shape] float32 -> [batch, D]`, with
        `trainable=False`; its `input_shape` tells the shape of the pictures.

    Raises:
        BackboneError: there is no such file or name; the file is damaged, holds code or unknown
            classes, or another kind of model; the weights cannot be downloaded; or the pictures
            do not fit.

    Example:

    >>> backbone = load_backbone("MobileNetV2", image_shape=(32, 32, 3))  # doctest: +SKIP
    >>> backbone.output_shape  # doctest: +SKIP
    (None, 1280)
    """
    if pathlib.Path(path_or_name).suffix == ".keras":
        network, preprocess = _from_file(path_or_name), None
    else:
        network, preprocess = _application(str(path_or_name))
    _freeze(network, path_or_name)
    _, height, width, channels = network.input_shape
    own_shape = (height, width, channels)
    if image_shape is None and None in own_shape:
        own_shape = (ANY_SIZE, ANY_SIZE, channels)
    image_shape = tuple(image_shape or own_shape)
    if len(image_shape) != 3 or image_shape[-1] not in (1, channels):
        raise BackboneError(
            f"backbone={path_or_name} takes pictures of {channels} channels, not of image_shape="
            f"{image_shape}."
        )
    images = x = keras.Input(image_shape, dtype="float32", name="image")
    if None not in (height, width) and image_shape[:2] != (height, width):
        x = layers.Resizing(height, width, antialias=True, dtype="float32", name="own_size")(x)
    if image_shape[-1] != channels:
        x = layers.Concatenate(dtype="float32", name="grey")([x] * channels)
    x = layers.Rescaling(255.0, dtype="float32", name="pixels")(x)
    x = preprocess(x) if preprocess else x
    average = layers.GlobalAveragePooling2D(dtype="float32", name="average")
    views = [network(view, training=False) for view in ([x, ops.flip(x, 2)] if mirror else [x])]
    views = [average(view) if len(view.shape) == 4 else view for view in views]
    features = layers.Average(dtype="float32", name="mirror")(views) if mirror else views[0]
    backbone = keras.Model(images, features, name="backbone")
    backbone.trainable = False
    return backbone


def application_names():
    """The names of `keras.applications`' networks, sorted."""
    return sorted(
        name
        for name, value in vars(keras.applications).items()
        if inspect.isfunction(value) and "include_top" in inspect.signature(value).parameters
    )


def _freeze(network, path_or_name):
    """A model passes `training` on to all that is in it: random layers have to be still."""
    network.trainable = False
    for layer in all_layers(network):
        if not generator_states(layer):
            continue
        strength = next((name for name in STRENGTHS if hasattr(layer, name)), None)
        if strength is None:
            raise BackboneError(
                f"backbone={path_or_name}: its layer {layer.name!r} ({type(layer).__name__}) draws "
                "random numbers, and a picture's features must always be the same; save the model "
                "without it."
            )
        setattr(layer, strength, 0.0)


def _from_file(path):
    try:
        network = model_file.load(pathlib.Path(path).expanduser())
    except model_file.UnreadableModel as error:
        raise BackboneError(f"backbone={path} {error}.") from error
    shapes = getattr(network, "input_shape", None), getattr(network, "output_shape", None)
    pictures, features = (
        isinstance(shape, tuple) and all(size is None or isinstance(size, int) for size in shape)
        for shape in shapes
    )
    if not (pictures and features and len(shapes[0]) == 4 and len(shapes[1]) in (2, 4)):
        raise BackboneError(
            f"backbone={path} holds a model from {shapes[0]} to {shapes[1]}, not one from pictures "
            "[batch, height, width, channels] to features [batch, D] or maps [batch, h, w, D]."
        )
    return network


def _application(name):
    """`(network, preprocess)`: from pixels, once they are preprocessed, to features."""
    if name not in application_names():
        raise BackboneError(
            f"backbone={name} is neither a file that ends in .keras nor one of keras.applications: "
            f"{', '.join(application_names())}."
        )
    application = getattr(keras.applications, name)
    # The size its weights were trained at is that of the whole classifier, made here without them.
    input_shape = application(weights=None).input_shape[1:]
    try:
        network = application(include_top=False, input_shape=input_shape, pooling="avg")
    except Exception as error:  # Keras raises a bare one
        raise BackboneError(
            f"backbone={name}: Keras cannot get its ImageNet weights ({error}). It downloads them "
            "once and keeps them in ~/.keras/models; offline, copy them there, or name a .keras "
            "file."
        ) from error
    return network, sys.modules[application.__module__].preprocess_input
