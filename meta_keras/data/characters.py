"""Character data sets from TFDS as one array of small pictures, decoded once and cached."""

import dataclasses
import hashlib
import os
import pathlib
import tempfile
import urllib.request
import zipfile

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging

from meta_keras.data import glyphs as glyphs_builder
from meta_keras.errors import DatasetError

BUILDERS = {
    "omniglot": lambda data_dir: tfds.builder("omniglot:3.0.0", data_dir=data_dir),
    "glyphs": lambda data_dir: glyphs_builder.Glyphs(data_dir=data_dir),
}
DRAWINGS = 20  # of every character, one by each drawer


@dataclasses.dataclass(frozen=True)
class Characters:
    """Every drawing of every character of a data set.

    Attributes:
        dataset: name of the data set, for example `"omniglot"`.
        images: uint8 `[classes, drawings, size, size]`, ink 255 on paper 0; 20 drawings in Omniglot
            and glyphs. In a class with fewer drawings than others the rest are blank.
        names: `[classes]` strings in the form of Omniglot's folders, `"Korean/character07"`.
        evaluation: `[classes]` bools, whether the class is in the data set's own test split.
    """

    dataset: str
    images: np.ndarray
    names: np.ndarray
    evaluation: np.ndarray


def load_characters(dataset="omniglot", data_dir=None, manual_dir=None, size=28):
    """Loads a data set, preparing it with TFDS and caching the decoded array as needed.

    Args:
        dataset: `"omniglot"` or `"glyphs"`.
        data_dir: TFDS folder; TFDS' own default if None.
        manual_dir: folder with the official Omniglot zips, used instead of a download after their
            checksums have been verified.
        size: side of the pictures in pixels, after area resizing.

    Returns:
        `Characters`.

    Raises:
        DatasetError: the data cannot be downloaded, are damaged or only half there.
    """
    builder = _builder(dataset, data_dir)
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


def choose_dataset(data_dir=None, manual_dir=None):
    """Omniglot where it is prepared or can be prepared now, else glyphs.

    Without a network that is decided within seconds; where Omniglot can be downloaded, it is.

    Returns:
        `(dataset, reason)`; the reason is a sentence.
    """
    builder = _builder("omniglot", data_dir)
    if builder.is_prepared():
        return "omniglot", "Omniglot is prepared in the data folder."
    if manual_dir:
        return "omniglot", "Omniglot's files are in manual_dir."
    problem = _download_problem(builder)
    if problem:
        return "glyphs", f"Omniglot is not prepared in {builder.data_dir} and {problem}."
    try:
        prepare(builder)
    except DatasetError as error:
        return "glyphs", str(error)
    return "omniglot", "Omniglot was downloaded."


def _builder(dataset, data_dir):
    if dataset not in BUILDERS:
        raise ValueError(f"dataset must be one of {sorted(BUILDERS)}, got {dataset!r}.")
    try:
        return BUILDERS[dataset](os.path.expanduser(data_dir) if data_dir else None)
    except Exception as error:  # TFDS meets a damaged folder with many kinds of exception
        raise DatasetError(
            f"The {dataset} data in {data_dir or 'the TFDS folder'} cannot be opened ({error}). "
            "Delete that copy, or name another --data_dir."
        ) from error


def _download_problem(builder):
    """Why the builder's files cannot be downloaded now, or None. Answers within seconds."""
    for url in list(builder.url_infos or ())[:1]:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=5).close()
        except OSError as error:
            return f"{url} does not answer ({getattr(error, 'reason', error)})"
    return None


def prepare(builder, manual_dir=None):
    """Prepares a TFDS data set unless it is prepared already.

    Args:
        builder: a `tfds.core.DatasetBuilder`.
        manual_dir: folder with the builder's official files, used instead of a download after
            their checksums have been verified.

    Raises:
        DatasetError: the files cannot be had, are not the official ones, or cannot be written.
    """
    if builder.is_prepared():
        return
    if manual_dir and builder.url_infos:
        _verify_manual_files(builder, pathlib.Path(manual_dir).expanduser())
    else:
        # TFDS itself retries for minutes before it gives up.
        problem = _download_problem(builder)
        if problem:
            raise DatasetError(
                f"{builder.name} is not prepared in {builder.data_dir} and {problem}. Name a "
                "prepared TFDS folder with --data_dir, or a folder with the official zip files "
                f"with --manual_dir ({', '.join(_filenames(builder))})."
            )
    logging.info("Preparing %s in %s", builder.name, builder.data_dir)
    try:
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
        )
    except Exception as error:  # from the network, the disk or the archives
        raise DatasetError(
            f"{builder.name} could not be prepared in {builder.data_dir}: {error}"
        ) from error


def _filenames(builder):
    return [info.filename for info in builder.url_infos.values()]


def _verify_manual_files(builder, folder):
    for info in builder.url_infos.values():
        file = folder / info.filename
        if not file.is_file():
            raise DatasetError(
                f"--manual_dir={folder} lacks {info.filename}; needed are the official "
                f"{', '.join(_filenames(builder))}."
            )
        checksum = hashlib.sha256(file.read_bytes()).hexdigest()
        if checksum != info.checksum:
            raise DatasetError(
                f"{file} is not the official file: its SHA-256 is {checksum}, expected "
                f"{info.checksum}."
            )


def _fingerprint(builder):
    """Names the exact data a cache was made of; checks on the way that every file is there."""
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

    def prepare(example):
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
            batches = dataset.map(prepare, num_parallel_calls=2).batch(256)
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
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            part = pathlib.Path(folder) / file.name
            np.savez(
                part,
                fingerprint=np.array(fingerprint),
                images=characters.images,
                names=characters.names,
                evaluation=characters.evaluation,
            )
            os.replace(part, file)
    except OSError:
        return False
    return True
