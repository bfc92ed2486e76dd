"""Photographs, of any size and kind, as square colour pictures of the size a network takes."""

import concurrent.futures
import os

import numpy as np
from PIL import Image, ImageOps

from meta_keras.data.pixels import opened_picture, without_lab
from meta_keras.errors import PictureError

BATCH = 64  # Photographs in memory at a time.


def read_photograph(file, size):
    """Reads a photograph: turned upright, its middle square, reduced or enlarged.

    Args:
        file: path, or a file object, of whatever Pillow reads, in any size and mode. The turn that
            a camera notes (EXIF) is heeded; of an animation or a document the first picture is
            read; what is transparent lies on white; the largest value of a grey picture of more
            than 8 bits is white, as no file says what is.
        size: side of the result in pixels.

    Returns:
        uint8 `[size, size, 3]`, red, green and blue.

    Raises:
        PictureError: the file is no regular file, damaged, no picture, too large or transparent
            everywhere.
    """
    with opened_picture(file) as image:
        image.draft("RGB", (2 * size, 2 * size))  # A JPEG is decoded no larger than needed.
        image = _rgb(ImageOps.exif_transpose(image))
        return np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC))


def read_photographs(files, size, batch_size=BATCH):
    """Reads photographs batch by batch, so that however many there are, few are in memory.

    Args:
        files: list of paths.
        size: side of the pictures in pixels.
        batch_size: int.

    Yields:
        `(images, read, skipped)`: uint8 `[n, size, size, 3]`, n at most `batch_size`; the list of
        their n files; and a list of `(file, reason)` for those that cannot be read.
    """

    def attempt(file):
        try:
            return read_photograph(file, size), None
        except PictureError as error:
            return None, str(error)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(files), batch_size):
            batch = files[start : start + batch_size]
            found = list(zip(batch, pool.map(attempt, batch), strict=True))
            images = [image for _, (image, _) in found if image is not None]
            yield (
                np.array(images, np.uint8).reshape(-1, size, size, 3),
                [file for file, (image, _) in found if image is not None],
                [(file, reason) for file, (_, reason) in found if reason is not None],
            )


def _rgb(image):
    """A picture of any mode as red, green and blue of 8 bits."""
    if image.mode.startswith(("I", "F")):
        grey = np.asarray(image, np.float32)
        if not np.isfinite(grey).all():
            raise PictureError("has values that are not numbers")
        white = grey.max() if grey.max() > 0 else 1
        image = Image.fromarray(np.uint8(np.rint(255 * np.clip(grey / white, 0, 1))))
    image = without_lab(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if not image.getchannel("A").getextrema()[1]:
            raise PictureError("transparent everywhere")
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image)
    return image.convert("RGB")
