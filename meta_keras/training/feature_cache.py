"""Features of pictures by a frozen backbone: computed once for every picture, and kept on disk."""

import hashlib
import pathlib

import keras
import numpy as np
from absl import logging

from meta_keras.data.cache import cache_file, read_arrays, write_arrays

BATCH = 64  # pictures in memory at a time, as numbers


class FeatureCache:
    """Knows pictures by their pixels, so that a picture among others is not computed again.

    Args:
        path_or_name: what the backbone was loaded from.
        backbone: as from `networks.load_backbone`.
        variant: str, how it was loaded beside `path_or_name`.
    """

    def __init__(self, path_or_name, backbone, variant=""):
        self.backbone = backbone
        shape = backbone.input_shape[1:]
        self.key = hashlib.sha256(
            _origin(path_or_name) + f"|{variant}|{shape}".encode()
        ).hexdigest()
        # Of a network of keras.applications wherever the program is run.
        path = pathlib.Path(path_or_name).expanduser()
        place = path if path.is_file() else pathlib.Path("/keras.applications") / str(path_or_name)
        self.file = cache_file(place, f"features-{self.key[:16]}.npz")
        width = backbone.output_shape[1]
        forms = {"features": ("f", (None, width)), "pictures": ("S", (None,))}
        arrays = read_arrays(self.file, self.key, forms)
        self.features = np.zeros((0, width), np.float32) if arrays is None else arrays["features"]
        known = [] if arrays is None else arrays["pictures"].tolist()
        self.places = {picture: place for place, picture in enumerate(known)}

    def __call__(self, images):
        """Features float32 `[n, D]` of pictures uint8 `[n, H, W, C]`, maybe a memory map.

        New ones are written when all are computed, and also when something interrupts that.
        """
        pictures = [_digest(image) for image in images]
        new = list(dict.fromkeys(p for p in pictures if p not in self.places))
        if len(new) > BATCH:
            logging.info("Computing the features of %d pictures once.", len(new))
        first = {picture: place for place, picture in reversed(list(enumerate(pictures)))}
        computed = []
        try:
            for start in range(0, len(new), BATCH):
                batch = new[start : start + BATCH]
                part = np.stack([images[first[picture]] for picture in batch])
                computed.append(self.backbone.predict_on_batch(part.astype(np.float32) / 255))
                for picture in batch:
                    self.places[picture] = len(self.places)
        finally:
            if computed:
                self.features = np.concatenate([self.features, *computed])
                known = np.array(list(self.places)[: len(self.features)], "S32")
                write_arrays(self.file, self.key, {"features": self.features, "pictures": known})
        return self.features[[self.places[picture] for picture in pictures]]


def _digest(image):
    return hashlib.sha256(np.ascontiguousarray(image)).hexdigest()[:32].encode()


def _origin(path_or_name):
    """Names the very weights: a file by its content, others by their name and Keras' version."""
    path = pathlib.Path(path_or_name).expanduser()
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).digest()
    return f"{path_or_name} {keras.__version__}".encode()
