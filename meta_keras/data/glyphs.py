"""Glyphs: a data set of invented handwritten characters, drawn by the program itself.

It has the form of Omniglot (105x105 black ink on white paper; alphabets of characters, each drawn
once by each of 20 drawers) but needs no download. A character is a random program of one to four
pen strokes; a drawing is that program carried out by an unsteady hand. Coordinates are (x, y) in
[0, 1], x to the right and y downwards. `glyphs_builder` makes a TFDS data set of it.
"""

import functools
import itertools

import numpy as np

IMAGE_SIZE = 105
MAX_STROKES, CONTROL_POINTS = 4, 10
CHARACTERS = 20  # Characters in an alphabet.

# What a random stream is for. It is part of each stream's seed, so that no two streams coincide.
_STYLE, _CHARACTER, _HABITS, _DRAWING = range(4)
# A stroke is a chain of nearly equal steps; its shape is how much the pen turns between them. A
# row is a kind of stroke: eight relative turns, then the range of their scale, in radians.
_STROKE_KINDS = np.array(
    [
        [1, 1, 1, 1, 1, 1, 1, 1, -0.02, 0.02],  # Line.
        [1, 1, 1, 1, 1, 1, 1, 1, 0.15, 0.5],  # Arc.
        [1, 1, 1, 1, 1, 1, 1, 1, 0.64, 0.73],  # Closed loop.
        [0, 0, 0, 0, 0, 1, 1, 1, 0.4, 0.9],  # Line ending in a hook.
        [1, 1, 1, 0, 0, -1, -1, -1, 0.35, 0.9],  # S-shaped wave.
        [0, 0, 0, 1, 0, 0, 0, 0, 1.2, 2.3],  # One corner.
        [0, 0, 1, 0, 0, -1, 0, 0, 1.2, 2.5],  # Zigzag.
        [0, 0, 1, 0, 0, 1, 0, 0, 1.2, 1.8],  # Open box.
        [0, 0.3, 1, 1, 1, 1, 0.3, 0, 1.0, 1.3],  # Line that loops across itself.
        [0.5, 0.5, 0.5, -2, 0.5, 0.5, 0.5, 0.5, 0.9, 1.3],  # Two bows meeting in a cusp.
        [0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.4, 0.7, 1.0],  # Curl.
    ]
)
# The cubic Hermite basis at 12 points of a step: [12, 4].
_T = np.arange(12)[:, None] / 12
_BASIS = _T ** [3, 2, 1, 0] @ [[2, 1, -2, 1], [-3, -2, 3, -1], [0, 1, 0, 0], [1, 0, 0, 0]]


def trace(strokes):
    """Traces the smooth pen paths through the control points of strokes.

    Args:
        strokes: float array [strokes, control points, 2], at least two control points each.

    Returns:
        float64 array [strokes, 12 * (control points - 1), 2]: 12 points a step, first point first.
    """
    strokes = np.asarray(strokes, np.float64)
    steps = np.diff(strokes, axis=1)
    before, after = steps[:, :-1], steps[:, 1:]
    lengths = np.linalg.norm(before, axis=-1) * np.linalg.norm(after, axis=-1)
    cosines = (before * after).sum(-1) / np.maximum(lengths, 1e-12)
    # Slowing down with the sharpness of the turn keeps corners sharp, instead of swinging wide.
    tangents = (before + after) / 4 * (1 + cosines[..., None])
    tangents = np.concatenate([steps[:, :1], tangents, steps[:, -1:]], axis=1)
    pieces = np.stack([strokes[:, :-1], tangents[:, :-1], strokes[:, 1:], tangents[:, 1:]], axis=2)
    return np.matmul(_BASIS, pieces).reshape(len(strokes), -1, 2)


def _style(seed, alphabet):
    """Draws what the characters of an alphabet have in common, as a dict."""
    rng = np.random.default_rng([seed, _STYLE, alphabet])
    kinds = rng.random(len(_STROKE_KINDS)) ** 2 + 0.05
    kinds[0] += 0.2  # Some lines in every alphabet.
    counts = np.array([0.4, 1.4, 1.4, 0.7]) * (0.2 + rng.random(MAX_STROKES))
    style = {
        "kinds": kinds / kinds.sum(),
        "counts": counts / counts.sum(),
        "slack": rng.uniform(0.02, 0.15),  # Strokes leave the main directions: radians.
        "wobble": rng.uniform(0.01, 0.08),  # Irregularity of the turns: radians.
        "size": rng.uniform(0.55, 0.75),
        "width": rng.uniform(0.8, 1.15),  # Width of the characters relative to their height.
    }
    # Strokes that recur in the alphabet, as bars and bows do in real ones.
    style["favourites"] = [_stroke(rng, style) for _ in range(3)]
    return style


def _stroke(rng, style, kind=None):
    """Draws the shape of one stroke: float64 [control points, 2], centred, largest side 1."""
    row = _STROKE_KINDS[rng.choice(len(_STROKE_KINDS), p=style["kinds"]) if kind is None else kind]
    turns = row[:-2] * rng.uniform(row[-2], row[-1]) * rng.choice([1, 1, -1])
    turns += rng.normal(0, style["wobble"], turns.shape)
    # Pens mostly set out to the right or downwards, else along a diagonal.
    start = rng.choice([0, 0, 0, 2, 2, 2, 2, 1, 3, -1]) * np.pi / 4 + rng.normal(0, style["slack"])
    if np.abs(turns).max() < 1 and np.abs(turns).sum() > 0.6:
        start -= turns.sum() / 2  # Gives bows the direction of their chord, not of their start.
    heading = start + np.cumsum([0, *turns])
    steps = np.stack([np.cos(heading), np.sin(heading)], axis=1)
    steps *= np.exp(rng.normal(0, 0.12, (len(steps), 1)) + rng.normal(0, 0.15, 2))
    return _centred(np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)]))


def _centred(points):
    low, high = points.min(axis=0), points.max(axis=0)
    return (points - (low + high) / 2) / (high - low).max()


def _candidate(rng, style):
    """Draws one character: float64 [1 to 4 strokes, control points, 2], in its place."""
    strokes = [_stroke(rng, style)]
    for _ in range(rng.choice(MAX_STROKES, p=style["counts"])):
        fate = rng.random()
        if fate < 0.12:  # A dot or a tick.
            stroke = _stroke(rng, style, kind=0) * rng.choice([0.03, 0.17])
        else:
            stroke = style["favourites"][rng.integers(3)] if fate < 0.4 else _stroke(rng, style)
            stroke = stroke * rng.uniform(0.45, 1.1)
        if fate < 0.12 or rng.random() < 0.2:  # Stands beside what is there.
            angle = rng.integers(8) * np.pi / 4 + rng.normal(0, 0.2)
            offset = rng.uniform(0.25, 0.6) * np.array([np.cos(angle), np.sin(angle)])
            stroke = stroke + np.mean(strokes, axis=(0, 1)) + offset
        else:  # Starts on, crosses or ends on an earlier stroke, at either end or midway.
            earlier = strokes[rng.integers(len(strokes))]
            joint = rng.choice([0, 0, 0, rng.integers(3, 7), -1])
            stroke = stroke - stroke[joint] + earlier[rng.choice([0, rng.integers(3, 7), -1])]
        strokes.append(stroke)
    points = _centred(np.concatenate(strokes) * [style["width"], 1])
    points *= min(style["size"] * np.exp(rng.normal(0, 0.1)), 0.9)
    return (points + 0.5).reshape(-1, CONTROL_POINTS, 2)


def _sketch(paths):
    """Returns a blurred view of a character, fitted to its box: unit float64 [16 * 16]."""
    points = _centred(paths.reshape(-1, 2)) * 12.8 + 7.5
    blots = np.exp(-np.square(points[:, :, None] - np.arange(16)) / 3)
    ink = np.minimum(blots[:, 0].T @ blots[:, 1], 3).ravel()
    return ink / np.linalg.norm(ink)


def _is_clumsy(paths):
    """Tells whether a character is too thin, or draws over its own lines for long."""
    gaps = np.square(paths[:, :, None, None] - paths).sum(-1).min(axis=-1)
    overlap = np.tril((gaps < 0.03**2).mean(axis=1), -1).max()
    return overlap > 0.4 or np.ptp(paths, axis=(0, 1)).min() < 0.12


@functools.lru_cache(maxsize=8)
def character_programs(seed=0, classes=1000):
    """Makes up the stroke programs of the first characters of the data set.

    Class `i` is in alphabet `i // 20`. It depends on the seed and the classes before it, which it
    must not resemble too closely, not on how many follow.

    Args:
        seed, classes: ints; the seed is at least 0, the number of classes at least 1.

    Returns:
        A pair of read-only arrays: `strokes`, float32 [classes, 4, 10, 2], the control points
        of the strokes, zero after the last stroke; `counts`, int64 [classes], how many strokes.
    """
    if classes < 1:
        raise ValueError(f"classes must be at least 1, not {classes}")
    strokes = np.zeros((classes, MAX_STROKES, CONTROL_POINTS, 2), np.float32)
    counts = np.zeros(classes, np.int64)
    sketches = np.zeros((classes, 16 * 16))
    for class_id in range(classes):
        if class_id % CHARACTERS == 0:
            style = _style(seed, class_id // CHARACTERS)
        rng = np.random.default_rng([seed, _CHARACTER, class_id])
        for attempt in itertools.count():
            candidate = _candidate(rng, style)
            paths = trace(candidate)[:, ::3]
            sketches[class_id] = _sketch(paths)
            likeness = (sketches[:class_id] @ sketches[class_id]).max(initial=0)
            if likeness < 0.9 + 0.0015 * attempt and not _is_clumsy(paths):
                break  # The limit on the likeness rises so that the search always ends.
        counts[class_id] = len(candidate)
        strokes[class_id, : len(candidate)] = candidate
    strokes.flags.writeable = counts.flags.writeable = False
    return strokes, counts


def draw(strokes, seed, class_id, drawer):
    """Draws a character once, as a drawer would: its strokes, but not quite.

    Args:
        strokes: float array [strokes, control points, 2], without zero padding.
        seed, class_id, drawer: ints, at least 0, which pick the random streams. A drawer has a
            slant, a size and a pen of their own.

    Returns:
        uint8 array [105, 105], 255 for paper and 0 for ink; the same for the same arguments. Like
        Omniglot's it is black and white; greys come with the resizing to 28x28.
    """
    strokes = np.asarray(strokes, np.float64)
    if strokes.ndim != 3 or len(strokes) < 1 or strokes.shape[1] < 2 or strokes.shape[2] != 2:
        raise ValueError(f"strokes must have shape [strokes, points, 2], not {strokes.shape}")
    habits = np.random.default_rng([seed, _HABITS, drawer])
    slant, turn, size, width, pen, nerves = habits.normal(size=6)
    rng = np.random.default_rng([seed, _DRAWING, class_id, drawer])
    # Each stroke is turned, sized and placed a little differently, and its line is unsteady:
    # smoothly so, and the more the longer the stroke is.
    centres = strokes.mean(axis=1, keepdims=True)
    points = (strokes - centres) @ (np.eye(2) + rng.normal(0, 0.12, (len(strokes), 2, 2)))
    points += centres + rng.normal(0, 0.018, centres.shape)
    tremble = rng.normal(size=strokes.shape)
    tremble[:, 1:-1] = (tremble[:, :-2] + 2 * tremble[:, 1:-1] + tremble[:, 2:]) / 3
    lengths = np.linalg.norm(np.diff(strokes, axis=1), axis=-1).sum(-1)[:, None, None]
    points += (0.011 + 0.003 * nerves) * np.minimum(lengths, 1) * tremble
    # The whole is bent: two long waves displace each axis.
    waves, phases = rng.normal(0, 4, (2, 2, 2)), rng.uniform(0, 2 * np.pi, (2, 2))
    points += 0.023 * np.sin(np.einsum("spi,wai->spwa", points, waves) + phases).sum(axis=2)
    # And it is turned, slanted, stretched and put somewhere on the sheet.
    slant, turn = 0.09 * slant + rng.normal(0, 0.06), 0.05 * turn + rng.normal(0, 0.08)
    scale = np.exp(0.1 * size + np.array([0.07, -0.07]) * width + rng.normal(0, 0.08, 2))
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    points = (points - 0.5) @ np.diag(scale) @ [[1, 0], [-slant, 1]] @ rotation
    points += 0.485 + rng.normal(0, 0.055, 2)
    # What would leave the sheet is moved back, and made smaller if need be.
    path = trace(points).reshape(-1, 2)
    middle, half = (path.max(axis=0) + path.min(axis=0)) / 2, np.ptp(path, axis=0) / 2
    shrink = 0.47 / max(0.47, half.max())
    half *= shrink
    path = IMAGE_SIZE * ((path - middle) * shrink + np.clip(middle, 0.03 + half, 0.97 - half))
    # The pen is round and blackens the pixels whose centres it covers.
    radius = np.clip(2.4 + 0.15 * pen + rng.normal(0, 0.06), 2.0, 2.9)
    pixels = np.floor(path).astype(np.int64)[:, :, None] + np.arange(-3, 4)
    gaps = np.square(pixels + 0.5 - path[:, :, None])
    covered = gaps[:, 1, :, None] + gaps[:, 0, None, :] < radius**2
    image = np.full(IMAGE_SIZE**2, 255, np.uint8)
    image[(pixels[:, 1, :, None] * IMAGE_SIZE + pixels[:, 0, None, :])[covered]] = 0
    return image.reshape(IMAGE_SIZE, IMAGE_SIZE)
