"""Glyphs as a TFDS data set.

    builder = Glyphs(data_dir="~/tensorflow_datasets")
    builder.download_and_prepare()
    train = builder.as_dataset(split="train")

This file loads TFDS, so that it is imported only where it is needed.
"""

import dataclasses
import itertools

import numpy as np
import tensorflow_datasets as tfds

from meta_keras.data.glyphs import (
    CHARACTERS,
    CONTROL_POINTS,
    IMAGE_SIZE,
    MAX_STROKES,
    character_programs,
    draw,
)


@dataclasses.dataclass(eq=False)
class GlyphsConfig(tfds.core.BuilderConfig):
    """A variant of the data set, kept apart on disk by its `name`: give each a name of its own."""

    seed: int = 0  # Another seed gives other characters and other drawings.
    train_alphabets: int = 30
    test_alphabets: int = 20
    drawers: int = 20  # Drawings of each character.

    def __post_init__(self):
        if self.seed < 0 or min(self.train_alphabets, self.test_alphabets, self.drawers) < 1:
            raise ValueError(f"seed must be at least 0, and the counts at least 1: {self}")


class Glyphs(tfds.core.GeneratorBasedBuilder):
    """TensorFlow Datasets builder of Glyphs: 600 characters in `train`, 400 others in `test`.

    Examples have Omniglot's features (`image`, `alphabet`, `alphabet_char_id` from 0, `label`)
    and the character's program as `character_programs` gives it: `strokes`, `stroke_count`.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012

    def _config(self):
        return self.builder_config or GlyphsConfig(name="default")

    def _info(self):
        alphabets = self._config().train_alphabets + self._config().test_alphabets
        strokes = (MAX_STROKES, CONTROL_POINTS, 2)
        features = {
            "image": tfds.features.Image(shape=(IMAGE_SIZE, IMAGE_SIZE, 3), encoding_format="png"),
            "alphabet": tfds.features.ClassLabel(num_classes=alphabets),
            "alphabet_char_id": np.int64,
            "label": tfds.features.ClassLabel(num_classes=alphabets * CHARACTERS),
            "strokes": tfds.features.Tensor(shape=strokes, dtype=np.float32),
            "stroke_count": np.int64,
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description="Invented handwritten characters and their strokes, drawn by a program.",
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # There is nothing to download.
        labels = range(self.info.features["label"].num_classes)
        train = self._config().train_alphabets * CHARACTERS
        splits = {"train": labels[:train], "test": labels[train:]}
        return {name: self._generate_examples(part) for name, part in splits.items()}

    def _generate_examples(self, labels):
        config = self._config()
        strokes, counts = character_programs(config.seed, self.info.features["label"].num_classes)
        for label, drawer in itertools.product(labels, range(config.drawers)):
            image = draw(strokes[label, : counts[label]], config.seed, label, drawer)
            example = {
                "image": np.repeat(image[:, :, None], 3, axis=2),
                "alphabet": label // CHARACTERS,
                "alphabet_char_id": label % CHARACTERS,
                "label": label,
                "strokes": strokes[label],
                "stroke_count": counts[label],
            }
            yield label * config.drawers + drawer, example
