"""Features of pictures by a frozen backbone: computed once and kept on disk."""

import hashlib
import pathlib

import keras
import numpy as np
from absl import logging

from meta_keras.data.cache import cache_file, read_arrays, write_arrays

BATCH = 64  # pictures in memory at a time, as numbers


def cached_features(path_or_name, backbone, images, variant=""):
    """The features of pictures, from the cache or computed and cached.

    Args:
        path_or_name: what the backbone was loaded from.
        backbone: as from `networks.load_backbone`.
        images: uint8 `[n, H, W, C]`, maybe a memory map.
        variant: str, how the backbone was loaded beside `path_or_name`.

    Returns:
        float32 `[n, D]`.
    """
    digest = hashlib.sha256(_origin(path_or_name) + f"|{variant}|{images.shape}".encode())
    for start in range(0, len(images), BATCH):
        digest.update(np.ascontiguousarray(images[start : start + BATCH]))
    key = digest.hexdigest()
    shape = (len(images), backbone.output_shape[1])
    file = cache_file(path_or_name, f"features-{key[:16]}.npz")
    cached = read_arrays(file, key, {"features": ("f", shape)})
    if cached is not None:
        return cached["features"]
    if len(images) > BATCH:
        logging.info("Computing the features of %d pictures once.", len(images))
    features = np.zeros(shape, np.float32)
    for start in range(0, len(images), BATCH):
        part = np.asarray(images[start : start + BATCH], np.float32) / 255
        features[start : start + BATCH] = backbone.predict_on_batch(part)
    write_arrays(file, key, {"features": features})
    return features


def _origin(path_or_name):
    """Names the very weights: a file by its content, others by their name and Keras' version."""
    path = pathlib.Path(path_or_name).expanduser()
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).digest()
    return f"{path_or_name} {keras.__version__}".encode()
