"""Class folders of pictures as a data set."""

import os
import pathlib

import numpy as np
from absl import logging

from meta_keras.data.characters import Characters, DatasetError
from meta_keras.data.ink import PictureError, read_picture

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")


def find_pictures(folder):
    """Looks for pictures in a folder and all folders below it.

    Hidden files and folders are passed over in silence, and so is what is no picture by the end
    of its name.

    Args:
        folder: path.

    Returns:
        Dict from the path of every folder with pictures, relative to `folder`, to their sorted
        list (`pathlib.Path`). A folder with nothing of use in it or below it has an empty list.

    Raises:
        DatasetError: `folder` is not a folder, or cannot be read.
    """
    folder = pathlib.Path(folder).expanduser()
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder.")

    def unreadable(error):
        raise DatasetError(f"{error.filename} cannot be read ({error.strerror}).")

    found = {}
    for path, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        names = sorted(name for name in files if not name.startswith("."))
        pictures = [pathlib.Path(path, name) for name in names if name.lower().endswith(SUFFIXES)]
        if pictures or not folders:
            found[pathlib.Path(path).relative_to(folder).as_posix()] = pictures
    return found


def class_folders(folder):
    """As `find_pictures`, where every folder with pictures is a class.

    Raises:
        DatasetError: pictures lie in `folder` itself, or there are no folders in it.
    """
    found = find_pictures(folder)
    if found.get("."):
        raise DatasetError(
            f"{found['.'][0]} is in no class folder: {folder} must hold a folder for every class, "
            "with pictures in it."
        )
    found.pop(".", None)
    if not found:
        raise DatasetError(f"{folder} holds no class folders; make one for every class.")
    return found


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


def load_folder(data_dir, size=28, at_least=1):
    """Loads class folders of pictures.

    A class is a folder that holds pictures, however deep it lies; its name is its path relative
    to `data_dir`. Classes may have different numbers of pictures. Files that cannot be read and
    classes with too few pictures are named in a warning and left out.

    Args:
        data_dir: path.
        size: side of the pictures in pixels.
        at_least: number of pictures a class must have.

    Returns:
        `Characters` whose `images` are `[classes, most pictures of a class, size, size]`; places
        of the smaller classes that are left over are blank, and no episode draws them. No class
        is in a test split of its own.

    Raises:
        DatasetError: the folder is missing or holds no class with enough pictures.
    """
    classes = {}
    for name, files in class_folders(data_dir).items():
        images, _, skipped = read_pictures(files, size)
        for file, reason in skipped:
            logging.warning("Skipped %s: %s.", file, reason)
        if len(images) < max(at_least, 1):
            logging.warning(
                "Left out class %s: it has %d pictures, %d are needed.", name, len(images), at_least
            )
        else:
            classes[name] = images
    if not classes:
        raise DatasetError(f"{data_dir} holds no class with the {at_least} pictures it needs.")
    most = max(map(len, classes.values()))
    drawings = np.zeros((len(classes), most, size, size), np.uint8)
    for place, images in zip(drawings, classes.values(), strict=True):
        place[: len(images)] = images
    return Characters("folder", drawings, np.array(list(classes)), np.zeros(len(classes), bool))
