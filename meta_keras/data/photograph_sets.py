"""Data sets of photographs in TFDS, in one size, decoded once and cached."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from meta_keras.data import preparation
from meta_keras.data.cache import cache_file
from meta_keras.data.image_cache import decoded_images
from meta_keras.data.image_classes import ImageClasses
from meta_keras.errors import DatasetError, SettingError


class PublishedSet(NamedTuple):
    """A data set of photographs whose lists of classes were published with it.

    Attributes:
        title: its name in papers.
        size: side of the papers' pictures in pixels.
        tfds: the data set of TFDS that has its pictures; None of those with a builder here.
        per_class: pictures of a class.
    """

    title: str
    size: int
    tfds: str | None
    per_class: int = 600


PUBLISHED_SETS = {
    "cifar_fs": PublishedSet("CIFAR-FS", 32, "cifar100:3.0.2"),
    "fc100": PublishedSet("FC100", 32, "cifar100:3.0.2"),
    "mini_imagenet": PublishedSet("miniImageNet", 84, None),
}


def load_photographs(dataset, data_dir=None, manual_dir=None, size=32):
    """Loads a data set of photographs, preparing it with TFDS and caching the decoded pictures.

    Pictures become squares, whatever their sides were, as those of
    [Ravi & Larochelle 2017](https://openreview.net/forum?id=rJY0-Kcll); grey ones get three equal
    channels. All splits of the data set are taken together: few-shot learning divides classes.

    Args:
        dataset: `"cifar_fs"` ([Bertinetto et al. 2019](https://arxiv.org/abs/1805.08136)) or
            `"fc100"` ([Oreshkin et al. 2018](https://arxiv.org/abs/1805.10123)): CIFAR-100;
            `"mini_imagenet"` ([Vinyals et al. 2016](https://arxiv.org/abs/1606.04080)), see
            `mini_imagenet_builder`; or `"tfds:NAME"`, any data set of TFDS that has one picture
            and one label an example.
        data_dir: TFDS folder; TFDS' own default if None.
        manual_dir: folder with files that cannot be, or are not to be, downloaded.
        size: side of the pictures in pixels.

    Returns:
        `ImageClasses` with `images` `[n, size, size, 3]`, a memory map.

    Raises:
        SettingError: there is no such data set, or its examples are not of that kind.
        DatasetError: the data cannot be had, or are damaged.
    """
    builder = _builder(dataset, data_dir)
    if dataset == "mini_imagenet":
        from meta_keras.data import mini_imagenet_builder

        mini_imagenet_builder.check(builder, manual_dir)
    image, label = _features(dataset, builder)
    preparation.prepare(builder, manual_dir)
    with preparation.naming_damage(builder):
        fingerprint = preparation.fingerprint(builder)
        count = sum(split.num_examples for split in builder.info.splits.values())
        names = np.array(builder.info.features[label].names)

    def decode(images):
        logging.info("Decoding %s once; the result is cached.", builder.name)
        with preparation.naming_damage(builder):
            return {"labels": _decode(builder, image, label, images)}

    config = f"-{builder.builder_config.name}" if builder.builder_config else ""
    images, arrays = decoded_images(
        cache_file(builder.data_dir, f"{builder.name}{config}-{builder.version}-{size}.npz"),
        fingerprint,
        (count, size, size, 3),
        {"labels": ("i", (count,))},
        decode,
    )
    return ImageClasses.by_labels(images, arrays["labels"], names)


def _builder(dataset, data_dir):
    import tensorflow_datasets as tfds

    if dataset == "mini_imagenet":
        from meta_keras.data.mini_imagenet_builder import MiniImagenet

        return preparation.opened(dataset, lambda folder: MiniImagenet(data_dir=folder), data_dir)
    published = PUBLISHED_SETS.get(dataset)
    name = published.tfds if published else dataset.removeprefix("tfds:")
    if name == dataset:
        raise SettingError(
            f"dataset={dataset} must be one of {', '.join(PUBLISHED_SETS)}, tfds:NAME."
        )

    def make(folder):
        try:
            return tfds.builder(name, data_dir=folder)
        except (tfds.core.DatasetNotFoundError, ModuleNotFoundError, ValueError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise SettingError(
                f"dataset={dataset}: TFDS has no such data set ({first:.200})."
            ) from error

    return preparation.opened(dataset, make, data_dir)


def _features(dataset, builder):
    """The names of the picture and of the label among a data set's features."""
    import tensorflow_datasets as tfds

    features = builder.info.features or {}
    kinds = {tfds.features.Image: [], tfds.features.ClassLabel: []}
    for name, feature in features.items():
        for kind, found in kinds.items():
            if isinstance(feature, kind):
                found.append(name)
    images, labels = kinds.values()
    supervised = builder.info.supervised_keys or ()
    images = [name for name in images if name in supervised] or images
    labels = [name for name in labels if name in supervised] or labels
    if len(images) != 1 or len(labels) != 1:
        raise SettingError(
            f"dataset={dataset} must be of image classification, with one picture and one label an "
            f"example; it has {', '.join(features) or 'no features'}."
        )
    return images[0], labels[0]


def _decode(builder, image, label, images):
    """Reads every picture once into `images`, in file order; returns the labels, int32 `[n]`."""
    import tensorflow_datasets as tfds

    size = images.shape[1]
    labels = np.zeros(len(images), np.int32)

    def shrink(example):
        picture = example[image]
        if picture.shape[-1] == 1:
            picture = tf.image.grayscale_to_rgb(picture)
        picture = picture[..., :3]
        if picture.shape[:2] != (size, size):
            picture = tf.image.resize(picture, [size, size], antialias=True)
            picture = tf.clip_by_value(tf.round(picture), 0, 255)
        return tf.ensure_shape(tf.cast(picture, tf.uint8), images.shape[1:]), example[label]

    read = 0
    for split in sorted(builder.info.splits):
        # In file order, so that the arrays do not depend on anything but the files.
        dataset = builder.as_dataset(
            split=split,
            shuffle_files=False,
            decoders=tfds.decode.PartialDecoding({image: True, label: True}),
        )
        for pictures, numbers in dataset.map(shrink, num_parallel_calls=2).batch(256):
            images[read : read + len(numbers)] = pictures
            labels[read : read + len(numbers)] = numbers
            read += len(numbers)
    if read != len(images):
        raise DatasetError(
            f"{builder.name} in {builder.data_dir} is incomplete: it has {read} pictures instead "
            f"of {len(images)}. Delete that folder and prepare it again."
        )
    return labels
