"""The pixels of a file, in which ink may be looked for.

What a picture shows stands in its brightness, as a rule; but it may stand in its hue alone (red ink
on equally bright green) or in its opacity alone (white ink on nothing). All three are read here;
`meta_keras.data.ink` decides.
"""

import contextlib
import dataclasses
import math
import os
import stat
import warnings

import numpy as np
from PIL import Image, ImageCms, ImageFilter, ImageOps

from meta_keras.errors import PictureError

WORKING_SIDE = 512  # Larger pictures are reduced to it first, which averages their noise.
CONTRAST = 16  # Grey levels of 255 between ink and paper at least.


@dataclasses.dataclass(frozen=True)
class Pixels:
    """What a file shows, at most 512 pixels a side.

    Attributes:
        brightness: float32 `[H, W]` in [0, 255]. What is transparent has the colour of the edge
            of what is not.
        hue: float32 `[H, W]`, how far a colour is from grey, in the direction in which the
            picture's colours differ most; None unless the brightness is the same everywhere.
        opacity: float32 `[H, W]` in [0, 255]; None where it is the same everywhere.
        is_edge_plain: whether what is not transparent has the same brightness all along its edge,
            as paper that was cut out has.
    """

    brightness: np.ndarray
    hue: np.ndarray | None = None
    opacity: np.ndarray | None = None
    is_edge_plain: bool = True


def read_pixels(file):
    """Reads a picture, turned upright; of an animation or a document, its first picture.

    Args:
        file: path, or a file object, of whatever Pillow reads.

    Returns:
        `Pixels`.

    Raises:
        PictureError: the file is no regular file, damaged, no picture, empty, too large or
            transparent everywhere.
    """
    with opened_picture(file) as image:
        image = ImageOps.exif_transpose(image)
        return _deep(image) if image.mode.startswith(("I", "F")) else _coloured(image)


@contextlib.contextmanager
def opened_picture(file):
    """The `PIL.Image.Image` of a file.

    Args:
        file: path, or a file object.

    Raises:
        PictureError: the file is no regular file, damaged, no picture, empty or too large, or the
            body meets damage.
    """
    if isinstance(file, str | os.PathLike):
        _check_is_regular(file)
    try:
        with warnings.catch_warnings():
            # Pillow warns from half the size on that it refuses.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                if min(image.size) == 0:
                    raise ValueError("it has no pixels")
                yield image
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        limit = 2 * Image.MAX_IMAGE_PIXELS
        raise PictureError(f"more than {limit:,} pixels; make it smaller") from error
    except Exception as error:  # Pillow meets damage with many kinds of exception.
        raise PictureError(f"damaged or not a picture ({error})") from error


def without_lab(image):
    """The picture, in sRGB if it is in CIELAB, which Pillow converts by colour profiles only."""
    if image.mode != "LAB":
        return image
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.applyTransform(image, ImageCms.buildTransform(lab, srgb, "LAB", "RGB"))


def _check_is_regular(file):
    """Refuses what would be waited for in vain, such as a named pipe."""
    try:
        regular = stat.S_ISREG(os.stat(file).st_mode)
    except FileNotFoundError as error:
        lost = "a link to a file that is not there" if os.path.islink(file) else error.strerror
        raise PictureError(f"damaged or not a picture ({lost})") from error
    except (OSError, ValueError) as error:
        raise PictureError(f"damaged or not a picture ({error})") from error
    if not regular:
        raise PictureError("not a regular file")


def _deep(image):
    """Of a grey picture with more than 8 bits."""
    grey, opacity = np.asarray(image, np.float32), None
    if not np.isfinite(grey).all():
        raise PictureError("has values that are not numbers")
    if isinstance(image.info.get("transparency"), int):  # One grey stands for nothing.
        opacity = 255 * np.float32(grey != image.info["transparency"])
    largest = grey.max() if grey.max() > 0 else -grey.min()
    if largest > 0:  # No file says what white is: 1, 4095, 65535, ...
        grey = 255 * (grey / largest)
    grey = _reduce(grey)
    if opacity is None or not np.ptp(opacity):
        return Pixels(grey)
    return _partly_transparent(np.stack([grey] * 3, axis=-1), _reduce(opacity))


def _coloured(image):
    image = without_lab(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        lowest, highest = image.getchannel("A").getextrema()
        if highest < CONTRAST:
            raise PictureError("transparent everywhere")
        if highest - lowest >= CONTRAST:
            rgba = np.asarray(image.reduce(_factor(image.size)), np.float32)
            return _partly_transparent(rgba[..., :3], rgba[..., 3])
        image = image.convert("RGB")  # As opaque here as there, which tells nothing.
    grey = _reduce(np.asarray(image.convert("L"), np.float32))
    if image.mode in ("1", "L") or not _is_plain(grey):
        return Pixels(grey)
    colours = image.convert("RGB").reduce(_factor(image.size))
    return Pixels(grey, _hue(np.asarray(colours, np.float32)))


def _partly_transparent(colours, opacity):
    """Paper that was cut out goes on beyond its edge; ink on nothing vanishes by that.

    Args:
        colours: float32 `[H, W, 3]`; those of pixels that are more transparent than not, or next
            to such, count for nothing: editors leave any colour there.
        opacity: float32 `[H, W]`.
    """
    solid = _inside(opacity > opacity.max() / 2)
    edge = colours[solid & ~_inside(solid)]
    plain = True
    if not solid.any():
        colours = np.zeros_like(colours)
    elif len(edge):
        colours = np.where(solid[..., None], colours, np.median(edge, axis=0))
        brightness = _luminance(edge)
        plain = np.mean(np.abs(brightness - np.median(brightness)) > 2 * CONTRAST) < 0.1
    grey = _luminance(colours)
    return Pixels(grey, _hue(colours) if _is_plain(grey) else None, opacity, bool(plain))


def _inside(mask):
    """The pixels of a mask whose neighbours are in it, too."""
    return np.asarray(Image.fromarray(mask).convert("L").filter(ImageFilter.MinFilter(3))) > 0


def _luminance(colours):
    return colours @ np.float32([0.299, 0.587, 0.114])


def _hue(colours):
    """The direction in which colours differ most, brightness left out: float32 `[H, W]`."""
    red, _, blue = np.moveaxis(colours - _luminance(colours)[..., None], -1, 0)
    chroma = np.stack([0.564 * blue, 0.713 * red])  # Cb and Cr of the JPEG standard.
    _, axes = np.linalg.eigh(np.cov(chroma.reshape(2, -1)))
    return np.tensordot(np.float32(axes[:, -1]), chroma, 1)


def _is_plain(grey):
    """Whether nothing but the grain of paper is to be seen, or very little."""
    return np.ptp(np.percentile(grey, (1, 99))) <= 2 * CONTRAST


def _factor(size):
    return math.ceil(max(size) / WORKING_SIDE)


def _reduce(grey):
    return np.asarray(Image.fromarray(grey).reduce(_factor(grey.shape)))
