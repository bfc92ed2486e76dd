"""Omniglot's pen trajectories as a TFDS data set.

This file loads TFDS, so that it is imported only where it is needed.
"""

import re
import zipfile

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.checksums import UrlInfo
from tensorflow_datasets.core.utils import Size

from meta_keras.data.strokes import ALPHABETS, parse_strokes

_URL = "https://github.com/brendenlake/omniglot/raw/master/python/strokes_background_{}.zip"
_FILE = re.compile(r"strokes_background_small\d/([^/]+)/character(\d\d)/\d+_(\d\d)\.txt")


class OmniglotStrokes(tfds.core.GeneratorBasedBuilder):
    """TensorFlow Datasets builder of the official `strokes_background_small1/2.zip`.

    Splits `small1` and `small2`; Greek and Latin are in both. Examples have Omniglot's `alphabet`
    and `alphabet_char_id` from 0; `drawer` from 1; and for every point of the trajectory `xy`
    float32 `[points, 2]`, `milliseconds` float32 `[points]` and `stroke` int64 `[points]`, its
    number from 0.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012
    url_infos = {  # noqa: RUF012
        _URL.format(name): UrlInfo(
            size=Size(size), checksum=checksum, filename=f"strokes_background_{name}.zip"
        )
        for name, size, checksum in (
            ("small1", 3056274, "8cb3960fb6cf4ccf5f064ad83169f828c36c36782a0f6e7faacb7ecfae4468a2"),
            ("small2", 4100947, "345bf2141efbea062833dbb2828abbc23d9e07825e46f2afdd4daecddfed6e78"),
        )
    }

    def _info(self):
        features = {
            "alphabet": tfds.features.ClassLabel(names=ALPHABETS),
            "alphabet_char_id": np.int64,
            "drawer": np.int64,
            "xy": tfds.features.Tensor(shape=(None, 2), dtype=np.float32),
            "milliseconds": tfds.features.Tensor(shape=(None,), dtype=np.float32),
            "stroke": tfds.features.Tensor(shape=(None,), dtype=np.int64),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description="How the characters of Omniglot were drawn: pen trajectories.",
            features=tfds.features.FeaturesDict(features),
            homepage="https://github.com/brendenlake/omniglot/",
        )

    def _split_generators(self, dl_manager):
        files = dl_manager.download({name: _URL.format(name) for name in ("small1", "small2")})
        return {name: self._generate_examples(file) for name, file in files.items()}

    def _generate_examples(self, file):
        with zipfile.ZipFile(file) as archive:
            for name in sorted(archive.namelist()):
                match = _FILE.fullmatch(name)
                if not match:
                    continue
                alphabet, character, drawer = match.groups()
                strokes = parse_strokes(archive.read(name).decode())
                points = np.concatenate(strokes)
                yield (
                    name,
                    {
                        "alphabet": alphabet,
                        "alphabet_char_id": int(character) - 1,
                        "drawer": int(drawer),
                        "xy": points[:, :2],
                        "milliseconds": points[:, 2],
                        "stroke": np.repeat(np.arange(len(strokes)), [len(s) for s in strokes]),
                    },
                )
