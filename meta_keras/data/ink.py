"""Scans, photographs and other pictures of characters in the form of Omniglot's drawings.

Omniglot at 28x28 has ink 1 on paper 0; the longer side of a character's box has 18.5 pixels on
average (standard deviation 3.7), the centre of the box varies by 1.5 pixels around (13.5, 13.5),
and a line is about a pixel wide. A network trained on it expects the same of other pictures. What
is expected of those in turn: one character, darker or lighter than the plain paper around it; it
may touch the edges of the picture; a line not thicker than a tenth of the character; shadows may
fall on the paper if they are lighter than the ink.
"""

import contextlib

import numpy as np
from PIL import Image

from meta_keras.data.pixels import CONTRAST, read_pixels
from meta_keras.errors import PictureError

SMALLEST_SIDE = 8
WINDOWS = 8  # A line is narrower than this part of the picture's longer side.
EXTENT = 19 / 28  # The longer side of the ink in the finished picture.
ALIKE = 0.75  # What colours and transparency show must be at least that alike.


def read_picture(file, size=28):
    """Reads a picture of one character.

    Where the colours do not tell ink from paper, as with white ink on nothing, transparency does.

    Args:
        file: path of a PNG, JPEG, BMP, GIF (first frame) or whatever else Pillow reads, of any
            size from 8x8, in colour or grey. Orientation and transparency are heeded.
        size: side of the result in pixels.

    Returns:
        uint8 `[size, size]`, ink 255 on paper 0, sized and placed as Omniglot's drawings are.

    Raises:
        PictureError: the file is no regular file, damaged, no picture, too small, too large or
            blank; its line is too thick; or its colours show another character than its
            transparency.
    """
    pixels = read_pixels(file)
    try:
        return np.uint8(np.rint(255 * _read(pixels, size)))
    except ValueError as error:
        raise PictureError(str(error)) from error


def _read(pixels, size):
    """The ink of `Pixels`, float32 `[size, size]` in [0, 1]."""
    try:
        by_colour = centre(_ink_by_colour(pixels), size)
    except ValueError as problem:
        if pixels.opacity is None:
            raise
        try:
            return centre(find_ink(255 - pixels.opacity), size)
        except ValueError as error:
            raise ValueError(f"colours: {problem}; transparency: {error}") from error
    if pixels.opacity is None:
        return by_colour
    try:
        ink = find_ink(255 - pixels.opacity)
    except ValueError:
        return by_colour
    if pixels.opacity[ink > 0.5].mean() < pixels.opacity[ink <= 0.5].mean():
        return by_colour  # A transparent margin, say.
    by_opacity = centre(ink, size)
    # Where the edge has several colours it is no paper's: the ink itself is coloured.
    if pixels.is_edge_plain and _likeness(by_colour, by_opacity) < ALIKE:
        raise ValueError(
            "its colours and its transparency show different characters; save it on plain paper, "
            "without transparency"
        )
    return by_opacity


def _ink_by_colour(pixels):
    try:
        return find_ink(pixels.brightness)
    except ValueError:
        if pixels.hue is None:
            raise
        with contextlib.suppress(ValueError):
            return find_ink(pixels.hue)
        raise


def _likeness(ink, other):
    """The cosine of the angle between two pictures, blurred, as one's line may be thicker."""
    ink, other = (
        np.asarray(Image.fromarray(picture).resize((14, 14), Image.BOX), np.float32).ravel()
        for picture in (ink, other)
    )
    return ink @ other / (np.linalg.norm(ink) * np.linalg.norm(other))


def find_ink(grey):
    """Separates ink from paper.

    The border and the majority of all pixels tell whether the paper is light or dark; where they
    differ, what is narrow is the ink. The paper's brightness is what a morphological opening
    leaves, so that shadows and uneven light vanish; then Otsu's threshold (1979) splits what
    differs from it into paper and ink, whose levels become 0 and 1.

    Args:
        grey: float `[H, W]`, brightness from 0 to 255.

    Returns:
        float32 `[H, W]` in [0, 1].

    Raises:
        ValueError: the picture is smaller than 8x8 or blank, or has a line that is too thick.
    """
    grey = np.asarray(grey, np.float32)
    if min(grey.shape) < SMALLEST_SIDE:
        raise ValueError(f"only {grey.shape[1]}x{grey.shape[0]} pixels")
    ink = _above_paper(255 - grey if _is_paper_light(grey) else grey)
    dark = ink > otsu_threshold(ink)
    if not dark.any() or ink[dark].mean() - ink[~dark].mean() < CONTRAST:
        problem = "blank"
        if np.ptp(np.percentile(grey, (1, 99))) > 2 * CONTRAST:  # More than the grain of paper.
            problem = "the line is too thick for the picture, or there is nothing but a shadow"
        raise ValueError(
            f"{problem}: less than {CONTRAST} of 255 grey levels between ink and paper"
        )
    low = ink[~dark].mean() + 2 * ink[~dark].std()  # Above the grain of the paper.
    high = np.percentile(ink[dark], 90)
    return np.clip((ink - low) / max(high - low, 1), 0, 1)


def _is_paper_light(grey):
    """Whether ink is darker than paper."""
    middle = (grey.min() + grey.max()) / 2
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    light = np.median(border) > middle
    if light != (np.median(grey) > middle):
        # The character lies along the edges, or a wide shadow on the paper.
        light = _above_paper(255 - grey).sum() > _above_paper(grey).sum()
    return light


def _above_paper(grey):
    """How much brighter every pixel is than the paper behind it, where ink is brighter than paper.

    A morphological opening finds the paper: what is brighter than all around it and narrower than
    the window, a line, is cut off; a step of the paper itself, the edge of a shadow, stays where
    it is. Beyond the picture the paper goes on as it is at the edge, but ink at the edge does not.
    """
    half = max(1, max(grey.shape) // WINDOWS // 2)
    middle = (grey.min() + grey.max()) / 2
    paper = grey
    for combine in (np.min, np.max):
        for axis in (0, 1):
            padding = [(half, half) if axis == padded else (0, 0) for padded in (0, 1)]
            padded = np.pad(paper, padding, "edge")
            if combine is np.min:
                outside = np.pad(np.zeros(paper.shape, bool), padding, constant_values=True)
                padded[outside & (padded > middle)] = grey.min()
            windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis)
            paper = combine(windows, axis=-1)
    return np.maximum(grey - paper, 0)


def otsu_threshold(values):
    """The threshold with the largest variance between what is below and above it (Otsu 1979).

    Args:
        values: float array.

    Returns:
        A float; 256 thresholds between the extreme values are considered.
    """
    counts, edges = np.histogram(values, 256)
    below = np.cumsum(counts)[:-1]
    above = values.size - below
    sums = np.cumsum(counts * (edges[:-1] + edges[1:]) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = sums[:-1] / below - (sums[-1] - sums[:-1]) / above
        between = np.nan_to_num(below * above * distance**2)
    # Between two groups far apart, all thresholds are equally good: the middle one.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return edges[1 + best[(len(best) - 1) // 2]]


def centre(ink, size):
    """Scales and places ink as in Omniglot.

    Scale and place follow the box that holds 99 % of the dark pixels, so that a few specks do not
    matter. Resizing is by area; a line that becomes too pale by it, as a thin pen's on a large
    sheet, is darkened.

    Args:
        ink: float32 `[H, W]` in [0, 1], with some of it above 0.5.
        size: side of the result in pixels.

    Returns:
        float32 `[size, size]` in [0, 1].
    """
    low, high = np.array([_extent((ink > 0.5).sum(axis=axis)) for axis in (1, 0)]).T
    side = max(high - low) / EXTENT
    rows, columns = (
        _overlap((first + last - side) / 2, side, size, length)
        for first, last, length in zip(low, high, ink.shape, strict=True)
    )
    picture = rows @ ink @ columns.T
    line = np.percentile(picture[picture > picture.max() / 10], 90)
    return np.clip(picture / min(line, 1), 0, 1)


def _extent(counts):
    """First and last place, the latter exclusive, of 99 % of a histogram."""
    share = np.cumsum(counts) / counts.sum()
    return np.searchsorted(share, 0.005), np.searchsorted(share, 0.995) + 1


def _overlap(start, side, size, length):
    """How much of each of `size` equal parts of a frame lies in each pixel: `[size, length]`.

    The frame, from `start` to `start + side`, may reach beyond the pixels.
    """
    edges = start + side * np.arange(size + 1)[:, None] / size
    pixels = np.arange(length)
    overlap = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    return (np.maximum(overlap, 0) * size / side).astype(np.float32)
