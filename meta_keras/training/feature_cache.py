"""Features of pictures by a frozen backbone: computed once for every picture, and kept on disk."""

import hashlib
import pathlib

import keras
import numpy as np
from absl import logging

from meta_keras.data.cache import cache_file, read_arrays, write_arrays


class FeatureCache:
    """Computes features of pictures, every picture's once: it knows them by their pixels.

    As a context it keeps them on disk, when it ends or something interrupts it:

        with FeatureCache(path, backbone) as features:
            found = features(images)

    Args:
        path_or_name: what the backbone was loaded from.
        backbone: as from `networks.load_backbone`.
        variant: str, how it was loaded beside `path_or_name`.
        batch_size: pictures in memory at a time, as numbers.
        keep: whether anything is read from disk and kept there.
    """

    def __init__(self, path_or_name, backbone, variant="", batch_size=64, keep=True):
        self.backbone = backbone
        self.batch_size = batch_size
        shape, width = backbone.input_shape[1:], backbone.output_shape[1]
        origin = _origin(path_or_name) + f"|{variant}|{shape}".encode()
        self.key = hashlib.sha256(origin).hexdigest()
        self.file = arrays = None
        if keep:
            self.file = cache_file(_place(path_or_name), f"features-{self.key[:16]}.npz")
            forms = {"features": ("f", (None, width)), "pictures": ("S", (None,))}
            arrays = read_arrays(self.file, self.key, forms)
        self.keep = keep
        self.known = {}  # from a picture to its features
        if arrays is not None:
            self.known = dict(zip(arrays["pictures"].tolist(), arrays["features"], strict=True))
        self.kept = len(self.known)

    def __call__(self, images):
        """Features float32 `[n, D]` of pictures uint8 `[n, H, W, C]`, maybe a memory map."""
        pictures = [_digest(image) for image in images]
        places = dict(zip(reversed(pictures), reversed(range(len(images))), strict=True))
        new = [picture for picture in dict.fromkeys(pictures) if picture not in self.known]
        if len(new) > self.batch_size:
            logging.info("Computing the features of %d pictures once.", len(new))
        for start in range(0, len(new), self.batch_size):
            batch = new[start : start + self.batch_size]
            # One shape of batches, so that nothing is traced anew.
            part = np.zeros((self.batch_size, *images.shape[1:]), np.float32)
            for row, picture in enumerate(batch):
                part[row] = images[places[picture]] / np.float32(255)
            found = self.backbone.predict_on_batch(part)[: len(batch)]
            self.known.update(zip(batch, found, strict=True))
        rows = [self.known[picture] for picture in pictures]
        return np.array(rows, np.float32).reshape(len(rows), self.backbone.output_shape[1])

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.keep and len(self.known) > self.kept:
            arrays = {
                "features": np.stack(list(self.known.values())),
                "pictures": np.array(list(self.known), "S32"),
            }
            write_arrays(self.file, self.key, arrays)
            self.kept = len(self.known)


def _digest(image):
    return hashlib.sha256(np.ascontiguousarray(image)).hexdigest()[:32].encode()


def _place(path_or_name):
    """What the cache is filed under: for a name the same wherever the program is run."""
    path = pathlib.Path(path_or_name).expanduser()
    return path if path.is_file() else pathlib.Path("/keras.applications") / str(path_or_name)


def _origin(path_or_name):
    """Names the very weights: a file by its content, others by their name and Keras' version."""
    path = pathlib.Path(path_or_name).expanduser()
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).digest()
    return f"{path_or_name} {keras.__version__}".encode()
