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
        self.parts = [np.zeros((0, width), np.float32) if arrays is None else arrays["features"]]
        known = [] if arrays is None else arrays["pictures"].tolist()
        self.places = {picture: place for place, picture in enumerate(known)}
        self.kept = len(known)

    def __call__(self, images):
        """Features float32 `[n, D]` of pictures uint8 `[n, H, W, C]`, maybe a memory map."""
        pictures = [_digest(image) for image in images]
        first = {picture: place for place, picture in reversed(list(enumerate(pictures)))}
        new = [place for picture, place in first.items() if picture not in self.places]
        if len(new) > self.batch_size:
            logging.info("Computing the features of %d pictures once.", len(new))
        for start in range(0, len(new), self.batch_size):
            batch = new[start : start + self.batch_size]
            # One shape of batches, so that nothing is traced anew.
            part = np.zeros((self.batch_size, *images.shape[1:]), np.float32)
            for row, place in enumerate(batch):
                part[row] = images[place] / np.float32(255)
            self.parts.append(self.backbone.predict_on_batch(part)[: len(batch)])
            for place in batch:
                self.places[pictures[place]] = len(self.places)
        self.parts = [np.concatenate(self.parts)]
        return self.parts[0][[self.places[picture] for picture in pictures]]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.keep and len(self.places) > self.kept:
            arrays = {
                "features": np.concatenate(self.parts),
                "pictures": np.array(list(self.places), "S32"),
            }
            write_arrays(self.file, self.key, arrays)
            self.kept = len(self.places)


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
