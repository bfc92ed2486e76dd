"""Pictures decoded once and kept on disk, from where they are mapped into memory.

However many they are, only those that are looked at take up memory.
"""

import hashlib
import os

import numpy as np
from absl import logging

from meta_keras.data.cache import read_arrays, warn_unwritable, write_arrays
from meta_keras.files import replacing

BLOCK = 1 << 24  # bytes that are read at a time


def decoded_images(file, fingerprint, shape, forms, decode):
    """Pictures and what is known of them, from a cache, or decoded and cached.

    Args:
        file: path of the cache as from `cache.cache_file`, ending in `.npz`; the pictures lie
            beside it, in a file that ends in `.npy`. None: nothing is cached.
        fingerprint: str, names the data the pictures are made of.
        shape: `(n, H, W, C)` of the pictures.
        forms: of the other arrays, see `cache.read_arrays`.
        decode: function of an array uint8 of that shape, which it fills; it returns a dict of the
            other arrays.

    Returns:
        `(images, arrays)`: a memory map, or, where nothing can be cached, an array in memory; and
        the dict.
    """
    pictures = file and file.with_suffix(".npy")
    cached = read_arrays(file, fingerprint, {**forms, "pictures": ("U", ())})
    if cached is not None:
        images = _mapped(pictures, shape, str(cached.pop("pictures")))
        if images is not None:
            return images, cached
    try:
        if file is None:
            raise OSError("there is no home folder")
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(pictures) as part:
            images = np.lib.format.open_memmap(part, "w+", np.uint8, shape)
            _reserve(part)
            arrays = decode(images)
            images.flush()
            checksum = _checksum(images)
    except OSError as error:
        warn_unwritable(pictures, error)
        images = np.zeros(shape, np.uint8)
        return images, decode(images)
    write_arrays(file, fingerprint, {**arrays, "pictures": np.array(checksum)})
    return np.load(pictures, mmap_mode="r"), arrays


def _reserve(file):
    """Takes a file's room on the disk: a map that is written to a full one kills the process."""
    if hasattr(os, "posix_fallocate"):
        with open(file, "rb+") as opened:
            os.posix_fallocate(opened.fileno(), 0, os.path.getsize(file))


def _mapped(file, shape, checksum):
    """The pictures of a file if they are whole, else None."""
    try:
        images = np.load(file, mmap_mode="r", allow_pickle=False)
        if images.shape == shape and _checksum(images) == checksum:
            return images
        problem = "its checksum is another"
    except (OSError, ValueError) as error:
        problem = " ".join(str(error).split())
    logging.warning("The cache %s is damaged (%.100s) and is made anew.", file, problem)
    return None


def _checksum(images):
    digest = hashlib.sha256()
    flat = images.reshape(-1)
    for start in range(0, flat.size, BLOCK):
        digest.update(flat[start : start + BLOCK])
    return digest.hexdigest()
