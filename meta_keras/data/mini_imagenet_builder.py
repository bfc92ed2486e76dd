"""miniImageNet as a TFDS data set, made of files that the user has.

Its pictures are ImageNet's, whose terms forbid to pass them on, so that nothing can be downloaded.
This file loads TFDS, so that it is imported only where it is needed.
"""

import csv
import hashlib
import pathlib

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from meta_keras.data.folder import find_pictures
from meta_keras.data.pixels import opened_picture
from meta_keras.data.splits import CLASS_LISTS, SPLITS
from meta_keras.errors import DatasetError, PictureError

STEMS = dict(zip(SPLITS, ("train", "val", "test"), strict=True))
INSTRUCTIONS = """\
miniImageNet cannot be downloaded: its pictures are ImageNet's (https://image-net.org). Name with
`manual_dir` a folder in one of these layouts:

  train.csv, val.csv, test.csv    the lists of Ravi & Larochelle 2017, `filename,label` a line
  images/n0153282900000005.jpg    and the pictures they name, 84x84 or larger

  train/n01532829/any name.jpg    or a folder for every class, in train, val and test
  n01532829/any name.jpg          or in the folder itself"""


def class_lists():
    """The published lists: dict from a part to its classes' WordNet numbers."""
    folder = CLASS_LISTS / "mini_imagenet"
    return {part: (folder / f"{stem}.txt").read_text().split() for part, stem in STEMS.items()}


def check(builder, manual_dir):
    """Whether a folder is what the data set is, or can be, prepared of.

    Args:
        builder: a `MiniImagenet`.
        manual_dir: path; None will do once it is prepared.

    Raises:
        DatasetError: something is missing in the folder, or it was prepared of other files.
    """
    if not builder.is_prepared():
        find_files(manual_dir)
        return
    prepared_of = (builder.info.metadata or {}).get("files")
    if manual_dir and digest(find_files(manual_dir)) != prepared_of:
        raise DatasetError(
            f"mini_imagenet in {builder.data_dir} was prepared of other files than those in "
            f"manual_dir={manual_dir}. Delete that folder to prepare it of these, or leave "
            "`manual_dir` out to use it."
        )


def digest(parts):
    """Names the files of every part, as of `find_files`, by their names and sizes."""
    lines = [
        f"{part}/{name}/{file.name} {file.stat().st_size}"
        for part, files in parts.items()
        for file, name in files
    ]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def find_files(manual_dir):
    """The pictures of every part.

    Args:
        manual_dir: path, or None.

    Returns:
        Dict from `"train"`, `"validation"`, `"test"` to a list of `(file, class)`.

    Raises:
        DatasetError: there are none, or not all that are listed; or one is of a class that does
            not belong to the part.
    """
    if not manual_dir:
        raise DatasetError(f"dataset=mini_imagenet needs `manual_dir`. {INSTRUCTIONS}")
    folder = pathlib.Path(manual_dir).expanduser()
    if not folder.is_dir():
        raise DatasetError(f"manual_dir={folder} is not a folder. {INSTRUCTIONS}")
    if any((folder / f"{stem}.csv").is_file() for stem in STEMS.values()):
        parts = {part: _listed(folder, f"{stem}.csv") for part, stem in STEMS.items()}
    else:
        parts = {}
        for part, stem in STEMS.items():
            inside = folder / stem if (folder / stem).is_dir() else folder
            classes = class_lists()[part]
            others = [
                path.name
                for path in inside.iterdir()
                if inside != folder and path.is_dir() and path.name not in classes
            ]
            if others:
                logging.warning(
                    "%s: %d folders are passed over, none of the %d %s classes (%s ...).",
                    inside, len(others), len(classes), part, min(others),
                )  # fmt: skip
            parts[part] = [
                (inside / name / file.name, name)
                for name in classes
                if (inside / name).is_dir()
                for file in find_pictures(inside / name)[0].get(".", [])
            ]
    for part, files in parts.items():
        if not files:
            raise DatasetError(
                f"manual_dir={folder} holds no picture of a {part} class of miniImageNet. "
                f"{INSTRUCTIONS}"
            )
        others = sorted({name for _, name in files} - set(class_lists()[part]))
        if others:
            raise DatasetError(
                f"manual_dir={folder}: {others[0]} is not a {part} class of miniImageNet."
            )
    return parts


def _listed(folder, name):
    """The pictures of a list, all of which must be there."""
    try:
        with open(folder / name, newline="") as file:
            rows = [(row["filename"], row["label"]) for row in csv.DictReader(file)]
        for number, row in enumerate(rows, 2):
            if not all(row):
                raise ValueError(f"line {number} lacks a file name or a label")
    except (OSError, KeyError, ValueError, csv.Error) as error:
        reason = f"it lacks the column {error}" if isinstance(error, KeyError) else error
        raise DatasetError(f"{folder / name} cannot be read ({reason}). {INSTRUCTIONS}") from error
    files = [(folder / "images" / pathlib.Path(file).name, label) for file, label in rows]
    missing = [file for file, _ in files if not file.is_file()]
    if missing:
        raise DatasetError(
            f"{len(missing)} of the {len(files)} pictures that {folder / name} lists are missing: "
            f"{missing[0]} ..."
        )
    return files


class MiniImagenet(tfds.core.GeneratorBasedBuilder):
    """TensorFlow Datasets builder of miniImageNet, 100 classes of ImageNet with 600 pictures each.

    Splits `train`, `validation` and `test` have 64, 16 and 20 classes, those of
    [Ravi & Larochelle 2017](https://openreview.net/forum?id=rJY0-Kcll). Examples have `image`, as
    its file has it, `label`, and `file`, its name.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012
    MANUAL_DOWNLOAD_INSTRUCTIONS = INSTRUCTIONS

    def _info(self):
        names = sorted(name for part in class_lists().values() for name in part)
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names=names),
            "file": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description="Few-shot learning on 100 classes of ImageNet.",
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager):
        files = find_files(dl_manager.manual_dir)
        self.info.metadata["files"] = digest(files)
        return {part: self._generate_examples(of_part) for part, of_part in files.items()}

    def _generate_examples(self, files):
        for number, (file, name) in enumerate(files):
            try:
                with opened_picture(file) as image:
                    plain = image.format == "JPEG" and image.mode == "RGB"
                    image.load()  # Damage is to be found now, and named.
                    picture = str(file) if plain else np.asarray(image.convert("RGB"))
            except PictureError as error:
                raise DatasetError(f"{file}: {error}.") from error
            yield number, {"image": picture, "label": name, "file": file.name}
