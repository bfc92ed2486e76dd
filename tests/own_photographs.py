"""What tests of a user's own photographs share: plain walls of a few colours, and answers."""

import csv
import json

import numpy as np
from PIL import Image

from meta_keras import recognition

COLOURS = {"red": (200, 30, 30), "green": (30, 190, 40), "blue <b>": (40, 40, 210)}
OTHER = {"yellow": (220, 220, 30)}


def photograph(colour, seed, size=(40, 30)):
    """A plain wall of a colour, with the noise of a sensor."""
    noise = np.random.default_rng(seed).normal(0, 12, (size[1], size[0], 3))
    return Image.fromarray(np.uint8(np.clip(np.array(colour) + noise, 0, 255)))


def classify(folder, backbone=None, preset=None, **options):
    told, warned = [], []
    paths = [folder / name for name in ("support", "query", "output")]
    options |= {"inform": told.append, "warn": warned.append}
    found = recognition.classify(*paths, preset, backbone=backbone, **options)
    return found, told, warned


def predictions(folder):
    with open(folder / "output" / "predictions.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def results(folder):
    return json.loads((folder / "output" / "results.json").read_text())


def save(file, colour, size=(40, 30), mode="RGB", **options):
    """Writes a picture of one colour."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).convert(mode).save(file, **options)
