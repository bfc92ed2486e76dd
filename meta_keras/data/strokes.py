"""Omniglot's pen trajectories, and what can be made of a trajectory.

[Lake et al. 2015](https://www.science.org/doi/10.1126/science.aab3050) recorded how every drawing
was made. Their two small background sets together hold the trajectories of 242 characters of 8
alphabets, each drawn once by each of 20 drawers. A point is (x, y) in pixels of the 105x105
drawing, x to the right and y downwards.
"""

import itertools

import numpy as np
from PIL import Image, ImageDraw

from meta_keras.data.characters import DRAWINGS
from meta_keras.data.preparation import naming_damage, opened, prepare
from meta_keras.errors import DatasetError

SIDE = 105  # of the sheet a trajectory was drawn on
PEN = 3.4  # width of the line in the drawings, in the same unit
ALPHABETS = (
    "Balinese",
    "Early_Aramaic",
    "Greek",
    "Japanese_(katakana)",
    "Korean",
    "Latin",
    "Sanskrit",
    "Tagalog",
)


def parse_strokes(text):
    """Reads the text of a stroke file.

    Args:
        text: a line `START`, a line `x,y,milliseconds` for every point with y upwards, a line
            `BREAK` after every stroke.

    Returns:
        List of float32 `[points, 3]`, one a stroke, y downwards.

    Raises:
        ValueError: the text is no such file.

    Example:

    >>> [stroke.tolist() for stroke in parse_strokes("START\\n1,-2,0\\n3,-4,9\\nBREAK\\n")]
    [[[1.0, 2.0, 0.0], [3.0, 4.0, 9.0]]]
    """
    start, *lines = text.split()
    if start != "START" or not lines or lines[-1] != "BREAK":
        raise ValueError("a stroke file begins with START and ends with BREAK.")
    strokes, points = [], []
    for line in lines:
        if line == "BREAK":
            strokes.append(np.array(points, np.float32).reshape(-1, 3) * np.float32([1, -1, 1]))
            points = []
        else:
            points.append([float(number) for number in line.split(",")])
    if not all(map(len, strokes)):
        raise ValueError("a stroke has no points.")
    return strokes


def load_trajectories(data_dir=None, manual_dir=None):
    """The trajectories of all characters.

    Args:
        data_dir: TFDS folder; TFDS' own default if None.
        manual_dir: folder with the official zips, used instead of a download.

    Returns:
        Dict from a character's name, `"Korean/character07"`, to the list of the trajectories of
        its 20 drawers; a trajectory is a list of strokes, float32 `[points, 2]`.

    Raises:
        DatasetError: the data cannot be had, or are damaged.
    """
    from meta_keras.data.strokes_builder import OmniglotStrokes

    builder = opened("omniglot_strokes", lambda folder: OmniglotStrokes(data_dir=folder), data_dir)
    prepare(builder, manual_dir)
    found = {}
    with naming_damage(builder):
        for split in ("small1", "small2"):
            for example in builder.as_dataset(split=split).as_numpy_iterator():
                alphabet = ALPHABETS[example["alphabet"]]
                name = f"{alphabet}/character{example['alphabet_char_id'] + 1:02d}"
                ends = np.flatnonzero(np.diff(example["stroke"])) + 1
                # Greek and Latin come twice, the same.
                found.setdefault(name, {})[example["drawer"]] = np.split(example["xy"], ends)
    for name, trajectories in found.items():
        if len(trajectories) != DRAWINGS:
            raise DatasetError(f"{builder.name}: {name} has {len(trajectories)} trajectories.")
    return {
        name: [trajectories[drawer] for drawer in sorted(trajectories)]
        for name, trajectories in sorted(found.items())
    }


def rasterise(strokes, size=28, side=SIDE, pen=PEN):
    """Draws a trajectory.

    Args:
        strokes: list of float `[points, 2]`, x to the right and y downwards.
        size: side of the picture in pixels.
        side: side of the sheet in the unit of the points.
        pen: width of the line, in the same unit.

    Returns:
        uint8 `[size, size]`, ink 255 on paper 0.
    """
    fine = 8 * size / side  # Drawn eight times as large, and reduced by area.
    sheet = Image.new("L", (8 * size, 8 * size))
    draw = ImageDraw.Draw(sheet)
    radius = fine * pen / 2
    for stroke in strokes:
        path = [(float(fine * x), float(fine * y)) for x, y in stroke]
        for x, y in path:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        if len(path) > 1:
            draw.line(path, fill=255, width=max(round(fine * pen), 1))
    return np.asarray(sheet.reduce(8))


def match_drawings(drawings, trajectories):
    """Finds out which trajectory belongs to which drawing of a character.

    Args:
        drawings: uint8 `[n, size, size]`, ink 255.
        trajectories: list of n, as from `load_trajectories`, in any order.

    Returns:
        `(order, similarity)`: int `[n]`, the number of the trajectory of every drawing; and the
        mean cosine of the angle between a drawing and its rasterised trajectory.
    """
    traced = np.stack([rasterise(strokes, drawings.shape[-1]) for strokes in trajectories])
    cosines = _unit(drawings) @ _unit(traced).T
    order = np.full(len(drawings), -1)
    # Each to one: the surest pairs first. Those that remain unsure look alike.
    for pair in np.argsort(-cosines, axis=None):
        drawing, trajectory = divmod(pair, len(trajectories))
        if order[drawing] < 0 and trajectory not in order:
            order[drawing] = trajectory
    return order, cosines[np.arange(len(drawings)), order].mean()


def _unit(images):
    vectors = images.reshape(len(images), -1).astype(np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)


def resample(strokes, points=64):
    """A trajectory in a form that a network takes: a fixed number of points in equal distances.

    Every stroke counts 2 % longer, so that dots are not missed.

    Args:
        strokes: list of float `[points, 2]`.
        points: how many there shall be.

    Returns:
        float32 `[points, 3]`: x and y, relative to the middle of the character's box and half its
        longer side, so in [-1, 1]; and 1 where the pen is lifted after the point, else 0.
    """
    everything = np.concatenate(strokes)
    low, high = everything.min(axis=0), everything.max(axis=0)
    half = max((high - low).max() / 2, 1e-6)
    lengths = [np.r_[0, np.cumsum(np.linalg.norm(np.diff(s, axis=0), axis=1))] for s in strokes]
    totals = np.array([length[-1] for length in lengths])
    shares = np.maximum(totals + 0.02 * totals.sum(), 1e-6)
    ends = np.cumsum(shares)
    positions = (np.arange(points) + 0.5) / points * ends[-1]
    numbers = np.searchsorted(ends, positions).clip(max=len(strokes) - 1)
    within = 1 - (ends[numbers] - positions) / shares[numbers]
    sampled = np.zeros((points, 3), np.float32)
    for i, (number, share) in enumerate(zip(numbers, within, strict=True)):
        for axis in (0, 1):
            sampled[i, axis] = np.interp(
                share * totals[number], lengths[number], strokes[number][:, axis]
            )
    sampled[:, :2] = (sampled[:, :2] - (low + high) / 2) / half
    sampled[:, 2] = [*(a != b for a, b in itertools.pairwise(numbers)), True]
    return sampled


def split(descriptor):
    """The strokes of a resampled trajectory, a list of `[points, 2]`."""
    ends = np.flatnonzero(descriptor[:, 2] > 0.5) + 1
    return [stroke[:, :2] for stroke in np.split(descriptor, ends) if len(stroke)]
