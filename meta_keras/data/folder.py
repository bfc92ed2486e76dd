"""Class folders of pictures as a data set."""

import hashlib
import os
import pathlib

import numpy as np
from absl import logging
from PIL import Image

from meta_keras.data.cache import cache_file
from meta_keras.data.characters import Characters
from meta_keras.data.image_cache import decoded_images
from meta_keras.data.image_classes import ImageClasses
from meta_keras.data.ink import read_picture
from meta_keras.data.photographs import read_photograph
from meta_keras.errors import DatasetError, PictureError
from meta_keras.texts import printable

# What often lies beside pictures and is none; other files could be meant as pictures.
NO_PICTURES = (
    ".csv", ".db", ".html", ".ini", ".json", ".log", ".md", ".py", ".tsv", ".txt", ".xml", ".yaml",
    ".yml",
)  # fmt: skip


def find_pictures(folder):
    """Looks for pictures in a folder and all folders below it; links to folders are followed.

    A picture is what ends as a file that Pillow reads. Hidden files and folders are passed over in
    silence, and so are `NO_PICTURES`.

    Args:
        folder: path.

    Returns:
        `(found, skipped)`: a dict from the path of every folder with pictures, relative to
        `folder`, to their sorted list (`pathlib.Path`), where a folder with nothing of use in it
        or below it has an empty list; and a list of `(file, reason)` for other files, and for
        links to a folder that holds them.

    Raises:
        DatasetError: `folder` is not a folder, or cannot be read.
    """
    folder = pathlib.Path(folder).expanduser()
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder.")

    def unreadable(error):
        raise DatasetError(f"{error.filename} cannot be read ({error.strerror}).")

    formats = Image.registered_extensions()
    endings = {ending for ending, format in formats.items() if format in Image.OPEN}
    found, skipped = {}, []
    for path, folders, files in os.walk(folder, onerror=unreadable, followlinks=True):
        path = pathlib.Path(path)
        names = (name for name in folders if not name.startswith((".", "__MACOSX")))
        folders[:] = _without_cycles(folder, path, sorted(names), skipped)
        pictures = []
        for file in sorted(path / name for name in files if not name.startswith(".")):
            ending = file.suffix.lower()
            if ending in endings:
                pictures.append(file)
            elif ending not in NO_PICTURES:
                skipped.append((file, "its name does not end as a picture's (.png, .jpg, ...)"))
        if pictures or not folders:
            found[path.relative_to(folder).as_posix()] = pictures
    return found, skipped


def _without_cycles(top, path, names, skipped):
    """The folders in `path` that do not lead back to one on the way from `top` to them."""
    way = [place.resolve() for place in (path, *path.parents) if place.is_relative_to(top)]
    kept = []
    for name in names:
        real = (path / name).resolve()
        if any(place.is_relative_to(real) for place in way):
            skipped.append((path / name, "a link to a folder that holds it"))
        else:
            kept.append(name)
    return kept


def class_folders(folder):
    """As `find_pictures`, where every folder with pictures is a class.

    Returns:
        `(found, skipped)` as there.

    Raises:
        DatasetError: pictures lie in `folder` itself, or there are no folders in it.
    """
    found, skipped = find_pictures(folder)
    if found.get("."):
        raise DatasetError(
            f"{found['.'][0]} is in no class folder: {folder} must hold a folder for every class, "
            "with pictures in it."
        )
    found.pop(".", None)
    if not found:
        raise DatasetError(f"{folder} holds no class folders; make one for every class.")
    return found, skipped


def read_pictures(files, size=28):
    """Reads pictures of characters; damaged ones are left out.

    Args:
        files: list of paths.
        size: side in pixels.

    Returns:
        `(images, read, skipped)`: uint8 `[n, size, size]`, ink 255 on paper 0; the list of their
        n files; and a list of `(file, reason)` for the others.
    """
    images, read, skipped = [], [], []
    for file in files:
        try:
            images.append(read_picture(file, size))
            read.append(file)
        except PictureError as error:
            skipped.append((file, str(error)))
    return np.array(images, np.uint8).reshape(-1, size, size), read, skipped


def load_photograph_folder(data_dir, size, at_least=1, because=""):
    """Loads class folders of photographs, in colour; see `load_folder` on folders and classes.

    Decoded pictures are cached, as long as the files stay the same, and lie on disk.

    Args:
        data_dir, at_least, because: as in `load_folder`.
        size: side of the pictures in pixels.

    Returns:
        `ImageClasses` with `images` `[n, size, size, 3]`.

    Raises:
        DatasetError: the folder is missing or holds no class with enough pictures.
    """
    found, skipped = class_folders(data_dir)
    files = [file for pictures in found.values() for file in pictures]
    labels = np.repeat(np.arange(len(found)), [len(pictures) for pictures in found.values()])

    def decode(images):
        reasons = np.full(len(files), "", "U200")
        for number, file in enumerate(files):
            try:
                images[number] = read_photograph(file, size)
            except PictureError as error:
                reasons[number] = str(error) or "damaged"
        return {"reasons": reasons}

    images, arrays = decoded_images(
        cache_file(data_dir, f"photographs-{size}.npz"),
        _fingerprint(files),
        (len(files), size, size, 3),
        {"reasons": ("U", (len(files),))},
        decode,
    )
    is_read = arrays["reasons"] == ""
    skipped += [(files[n], arrays["reasons"][n]) for n in np.flatnonzero(~is_read)]
    for file, reason in skipped:
        logging.warning("Skipped %s: %s.", printable(file), reason)
    classes = ImageClasses.by_labels(images, np.where(is_read, labels, -1), list(found))
    return large_enough(classes, data_dir, at_least, because)


def _fingerprint(files):
    """Names the very files of a list."""
    digest = hashlib.sha256()
    for file in files:
        known = file.stat() if file.exists() else None  # A link may lead nowhere.
        state = (known.st_size, known.st_mtime_ns) if known else ()
        digest.update(os.fsencode(f"{file.absolute()} {state}\n"))
    return digest.hexdigest()


def large_enough(classes, where, at_least=1, because=""):
    """The classes that have enough pictures; others are named in a warning.

    Args:
        classes: `ImageClasses` with names.
        where: what they are of, for messages.
        at_least, because: as in `load_folder`.

    Returns:
        `ImageClasses`.

    Raises:
        DatasetError: no class has enough pictures.
    """
    because = f" ({because})" if because else ""
    counts = classes.counts
    enough = counts >= max(at_least, 1)
    for number in np.flatnonzero(~enough):
        _warn_of_small(classes.names[number], counts[number], at_least, because)
    if not enough.any():
        _raise_none_large(where, dict(zip(classes.names, counts, strict=True)), at_least, because)
    return classes.part(np.flatnonzero(enough))


def _warn_of_small(name, count, at_least, because):
    logging.warning(
        "Left out class %s: it has %d pictures, %d are needed%s.",
        printable(name), count, at_least, because,
    )  # fmt: skip


def _raise_none_large(where, counts, at_least, because):
    name, most = max(counts.items(), key=lambda item: item[1], default=("", 0))
    raise DatasetError(
        f"{where} holds no class with the {at_least} pictures it needs{because}: the "
        f"largest, {str(name)!r}, has {most}."
    )


def load_folder(data_dir, size=28, at_least=1, because=""):
    """Loads class folders of pictures.

    A class is a folder that holds pictures, however deep it lies; its name is its path relative
    to `data_dir`. Classes may have different numbers of pictures. Files that cannot be read and
    classes with too few pictures are named in a warning and left out.

    Args:
        data_dir: path.
        size: side of the pictures in pixels.
        at_least: int, number of pictures a class must have.
        because: str, what that number is made of and how to lower it, for messages.

    Returns:
        `Characters` whose `images` are `[classes, most pictures of a class, size, size]`; places
        of the smaller classes that are left over are blank, and no episode draws them. No class
        is in a test split of its own.

    Raises:
        DatasetError: the folder is missing or holds no class with enough pictures.
    """
    because = f" ({because})" if because else ""
    classes, counts = {}, {}
    found, skipped = class_folders(data_dir)
    for name, files in found.items():
        images, _, unreadable = read_pictures(files, size)
        skipped += unreadable
        counts[name] = len(images)
        if len(images) < max(at_least, 1):
            _warn_of_small(name, len(images), at_least, because)
        else:
            classes[name] = images
    for file, reason in skipped:
        logging.warning("Skipped %s: %s.", printable(file), reason)
    if not classes:
        _raise_none_large(data_dir, counts, at_least, because)
    most = max(map(len, classes.values()))
    drawings = np.zeros((len(classes), most, size, size), np.uint8)
    for place, images in zip(drawings, classes.values(), strict=True):
        place[: len(images)] = images
    return Characters("folder", drawings, np.array(list(classes)), np.zeros(len(classes), bool))
