"""Character data sets as one array of small pictures, decoded once and cached."""

import dataclasses
import hashlib

import numpy as np
import tensorflow as tf
from absl import logging

from meta_keras.data.cache import cache_file, read_arrays, write_arrays
from meta_keras.data.preparation import fingerprint, naming_damage, open_builder, prepare
from meta_keras.errors import DatasetError

DRAWINGS = 20  # of every character, one by each drawer
# SHA-256 of the names of all alphabets, where they are read from a file: splits go by them.
ALPHABETS = {"omniglot": "a5f5194fc5d53a07929812b982e2df14822f13d8f4fd1fbfb79ad12c4613c9a8"}


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
    with naming_damage(builder):
        made_of = fingerprint(builder)
        classes = builder.info.features["label"].num_classes
    forms = {
        "images": ("u", (classes, DRAWINGS, size, size)),
        "names": ("U", (classes,)),
        "evaluation": ("b", (classes,)),
    }
    file = cache_file(builder.data_dir, f"{builder.name}-{builder.version}-{size}.npz")
    arrays = read_arrays(file, made_of, forms)
    if arrays is None:
        logging.info("Decoding %s once; the result is cached.", builder.name)
        with naming_damage(builder):
            arrays = _decode(builder, size)
        write_arrays(file, made_of, arrays)
    return Characters(dataset, **arrays)


def _decode(builder, size):
    """Reads every picture once: inverted, resized by area, ordered by class."""
    labels = builder.info.features["label"]
    alphabets = builder.info.features["alphabet"]
    images = np.zeros((labels.num_classes, DRAWINGS, size, size), np.uint8)
    filled = np.zeros(labels.num_classes, int)
    names = np.full(labels.num_classes, "", dtype="U80")
    evaluation = np.zeros(labels.num_classes, bool)
    read = "\n".join(map(alphabets.int2str, range(alphabets.num_classes)))
    checksum = hashlib.sha256(read.encode(errors="replace")).hexdigest()
    if ALPHABETS.get(builder.name, checksum) != checksum:
        raise ValueError("the names of its alphabets are others")

    def shrink(example):
        ink = 255.0 - tf.cast(example["image"][..., :1], tf.float32)
        ink = tf.image.resize(ink, [size, size], method="area")[..., 0]
        return (
            tf.cast(tf.round(ink), tf.uint8),
            example["label"],
            example["alphabet"],
            example["alphabet_char_id"],
        )

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
    if not (filled == DRAWINGS).all():
        wrong = int(np.argmax(filled != DRAWINGS))
        raise DatasetError(
            f"{builder.name} in {builder.data_dir} is incomplete: class "
            f"{names[wrong] or wrong} has {filled[wrong]} drawings instead of {DRAWINGS}. "
            "Delete that folder and prepare it again."
        )
    return {"images": images, "names": names, "evaluation": evaluation}
