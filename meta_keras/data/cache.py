"""Arrays that take long to make, kept on disk from one run to the next.

They lie in `$META_KERAS_CACHE_DIR`, or else in `meta_keras` in the user's cache folder
(`$XDG_CACHE_HOME`, by default `~/.cache`); never beside data that may be others'. What is read is
believed only if it is whole and of the data it is asked for.
"""

import hashlib
import os
import pathlib

import numpy as np
from absl import logging

from meta_keras.files import replacing

ENVIRONMENT = "META_KERAS_CACHE_DIR"


def cache_file(data_dir, name):
    """Where the arrays made of a folder are kept.

    Args:
        data_dir: path of the folder.
        name: of the file.

    Returns:
        A `pathlib.Path`, the same for every name the folder has. None where the user has no home.
    """
    chosen = os.environ.get(ENVIRONMENT)
    user = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(user):  # Others are to be ignored, says its specification.
        user = "~/.cache"
    try:
        top = pathlib.Path(chosen or os.path.join(user, "meta_keras")).expanduser().absolute()
    except RuntimeError:
        return None
    place = hashlib.sha256(os.fsencode(pathlib.Path(data_dir).resolve())).hexdigest()[:12]
    return top / place / name


def read_arrays(file, fingerprint, forms):
    """Reads arrays if they are whole; damage is named in a warning.

    Args:
        file: as from `cache_file`.
        fingerprint: str, names the data the arrays must have been made of.
        forms: dict from a name to the dtype's kind, as in `np.dtype.kind`, and the shape, with None
            for any size.

    Returns:
        A dict from the names to the arrays; None if there are none, or others, or if they are
        damaged.
    """
    try:
        if file is None or not file.is_file():
            return None
        with np.load(file, allow_pickle=False) as cached:
            if str(cached["fingerprint"]) != fingerprint:
                return None
            arrays = {name: cached[name] for name in forms}
            checksum = str(cached["checksum"])
        if checksum != _checksum(fingerprint, arrays):
            raise ValueError("its checksum is another")
        if not all(_fits(array, *forms[name]) for name, array in arrays.items()):
            raise ValueError("its arrays have other shapes")
        return arrays
    except Exception as error:  # Damage to an archive shows in many kinds of exception.
        problem = " ".join(str(error).split()) or type(error).__name__
        state = "cannot be read" if isinstance(error, PermissionError) else "is damaged"
        logging.warning("The cache %s %s (%.100s) and is made anew.", file, state, problem)
        return None


def write_arrays(file, fingerprint, arrays):
    """Writes arrays, whole or not at all; what keeps them from being written is but warned of.

    Args:
        file, fingerprint: as in `read_arrays`.
        arrays: dict from a name to an array.
    """
    try:
        if file is None:
            raise OSError("there is no home folder")
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as part:
            checksum = np.array(_checksum(fingerprint, arrays))
            np.savez(part, fingerprint=np.array(fingerprint), checksum=checksum, **arrays)
    except OSError as error:
        warn_unwritable(file, error)


def warn_unwritable(file, error):
    """Warns that a file of the cache cannot be written.

    Args:
        file: path, or None.
        error: the `OSError` that says why.
    """
    reason = error.strerror or getattr(error.__cause__, "strerror", None) or error
    logging.warning(
        "The cache %s cannot be written (%s), so that every run makes it anew. Name a folder "
        "for it in %s.", file or "", reason, ENVIRONMENT,
    )  # fmt: skip


def _fits(array, kind, shape):
    sizes = zip(array.shape, shape, strict=len(array.shape) == len(shape))
    same = all(size in (None, own) for own, size in sizes)
    return array.dtype.kind == kind and array.ndim == len(shape) and same


def _checksum(fingerprint, arrays):
    digest = hashlib.sha256(fingerprint.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"|{name} {array.dtype.str} {array.shape}|".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
