"""Character data sets as one array of small pictures, decoded once and cached."""

import dataclasses
import hashlib
import os
import pathlib
import zipfile

import numpy as np
import tensorflow as tf
from absl import logging

from meta_keras.data.preparation import open_builder, prepare
from meta_keras.errors import DatasetError
from meta_keras.files import replacing

DRAWINGS = 20  # of every character, one by each drawer


@dataclasses.dataclass(frozen=True)
class Characters:
    """Every drawing of every character of a data set.

    Attributes:
        dataset: name of the data set, for example `"omniglot"`.
        images: uint8 `[classes, drawings, size, size]`, ink 255 on paper 0; 20 drawings in Omniglot
            and glyphs. In a class with fewer drawings than others the rest are blank.
        names: str `[classes]`, in the form of Omniglot's folders, `"Korean/character07"`.
        evaluation: bool `[classes]`, whether the class is in the data set's own test split.
    """

    dataset: str
    images: np.ndarray
    names: np.ndarray
    evaluation: np.ndarray


def load_characters(dataset="omniglot", data_dir=None, manual_dir=None, size=28):
    """Loads a data set, preparing it with TFDS and caching the decoded array as needed.

    Args:
        dataset: `"omniglot"`, 1,623 characters of 50 alphabets
            ([Lake et al. 2015](https://www.science.org/doi/10.1126/science.aab3050)), or
            `"glyphs"`, 1,000 invented ones that need no download.
        data_dir: TFDS folder; TFDS' own default if None.
        manual_dir: folder with the official Omniglot zips, used instead of a download after their
            checksums have been verified.
        size: side of the pictures in pixels, after area resizing.

    Returns:
        `Characters` with `images` uint8 `[classes, 20, size, size]`.

    Raises:
        SettingError: there is no such data set.
        DatasetError: the data cannot be downloaded, are damaged or only half there.
    """
    builder = open_builder(dataset, data_dir)
    prepare(builder, manual_dir)
    fingerprint = _fingerprint(builder)
    cache_files = _cache_files(builder, size)
    for file in cache_files:
        characters = _read_cache(file, dataset, fingerprint)
        if characters is not None:
            return characters
    characters = _decode(builder, size)
    for file in cache_files:
        if _write_cache(file, characters, fingerprint):
            break
    return characters


def _fingerprint(builder):
    """Names the very data a cache was made of; checks on the way that every file is there."""
    parts = [builder.name, str(builder.version)]
    for split, info in sorted(builder.info.splits.items()):
        for path in map(pathlib.Path, info.filepaths):
            if not path.is_file():
                raise DatasetError(
                    f"{builder.name} in {builder.data_dir} is incomplete: {path.name} of split "
                    f"{split!r} is missing. Delete that folder and prepare it again."
                )
            parts.append(f"{path.name}:{path.stat().st_size}:{path.stat().st_mtime_ns}")
    return "|".join(parts)


def _decode(builder, size):
    """Reads every picture once: inverted, resized by area, ordered by class."""
    logging.info("Decoding %s once; the result is cached.", builder.name)
    labels = builder.info.features["label"]
    alphabets = builder.info.features["alphabet"]
    images = np.zeros((labels.num_classes, DRAWINGS, size, size), np.uint8)
    filled = np.zeros(labels.num_classes, int)
    names = np.full(labels.num_classes, "", dtype="U80")
    evaluation = np.zeros(labels.num_classes, bool)

    def shrink(example):
        ink = 255.0 - tf.cast(example["image"][..., :1], tf.float32)
        ink = tf.image.resize(ink, [size, size], method="area")[..., 0]
        return (
            tf.cast(tf.round(ink), tf.uint8),
            example["label"],
            example["alphabet"],
            example["alphabet_char_id"],
        )

    try:
        for split in ("train", "test"):
            # In file order, so that the array does not depend on anything but the files.
            dataset = builder.as_dataset(split=split, shuffle_files=False)
            batches = dataset.map(shrink, num_parallel_calls=2).batch(256)
            for batch in batches.as_numpy_iterator():
                for image, label, alphabet, character in zip(*batch, strict=True):
                    if filled[label] < DRAWINGS:
                        images[label, filled[label]] = image
                    filled[label] += 1
                    names[label] = f"{alphabets.int2str(alphabet)}/character{character + 1:02d}"
                    evaluation[label] = split == "test"
    except (tf.errors.OpError, OSError) as error:
        raise DatasetError(
            f"{builder.name} in {builder.data_dir} is damaged: {error}\n"
            "Delete that folder and prepare it again."
        ) from error
    if not (filled == DRAWINGS).all():
        wrong = int(np.argmax(filled != DRAWINGS))
        raise DatasetError(
            f"{builder.name} in {builder.data_dir} is incomplete: class "
            f"{names[wrong] or wrong} has {filled[wrong]} drawings instead of {DRAWINGS}. "
            "Delete that folder and prepare it again."
        )
    return Characters(builder.name, images, names, evaluation)


def _cache_files(builder, size):
    """Where the decoded array may lie: beside the data, else in the user's cache folder."""
    name = f"meta_keras-{builder.name}-{builder.version}-{size}.npz"
    user = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    place = hashlib.sha256(str(pathlib.Path(builder.data_dir).resolve()).encode()).hexdigest()[:12]
    return [pathlib.Path(builder.data_dir) / name, user / "meta_keras" / place / name]


def _read_cache(file, dataset, fingerprint):
    try:
        with np.load(file, allow_pickle=False) as cached:
            if str(cached["fingerprint"]) != fingerprint:
                return None
            return Characters(dataset, cached["images"], cached["names"], cached["evaluation"])
    except (FileNotFoundError, PermissionError):
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        logging.warning("Ignoring the damaged cache %s (%s).", file, error)
        return None


def _write_cache(file, characters, fingerprint):
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as part:
            np.savez(
                part,
                fingerprint=np.array(fingerprint),
                images=characters.images,
                names=characters.names,
                evaluation=characters.evaluation,
            )
    except OSError:
        return False
    return True
