"""Classes with descriptors instead of examples, and zero-shot episodes of them."""

import dataclasses
import pathlib

import numpy as np
import tensorflow as tf

from meta_keras.data import glyphs, strokes
from meta_keras.data.characters import load_characters
from meta_keras.data.episodes import check_episodes, choose
from meta_keras.data.image_classes import ImageClasses
from meta_keras.data.splits import SPLITS, gather_classes, split_classes
from meta_keras.errors import DatasetError, SettingError

POINTS = 64  # of a descriptor
# The three Brahmic scripts are kept for the test: nothing of their kind is seen in training.
VALIDATION_ALPHABETS = ("Early_Aramaic",)
TEST_ALPHABETS = ("Balinese", "Sanskrit", "Tagalog")


@dataclasses.dataclass(frozen=True)
class DescribedClasses:
    """Drawings and descriptors of the classes of one split.

    Attributes:
        drawings: uint8 `[classes, drawings, size, size]`, ink 255 on paper 0.
        descriptors: float32 `[classes, D, points, 3]`, trajectories as from `strokes.resample`.
            D is 1, the same for all drawings, or as many as there are drawings, each made by the
            drawer of the drawing with the same number.
    """

    drawings: np.ndarray
    descriptors: np.ndarray


def load_described(dataset, data_dir=None, manual_dir=None, strokes_dir=None, rotations=True):
    """Loads a data set with descriptors, split by alphabets.

    `"glyphs"`: the descriptor is the class's stroke program. `"omniglot_strokes"`: it is the pen
    trajectory of one drawer; test alphabets are Balinese, Sanskrit and Tagalog, validation is
    Early Aramaic, training Greek, Japanese, Korean and Latin. What zero-shot learning makes of a
    class's descriptor: [Snell et al. 2017](https://arxiv.org/abs/1703.05175), section 2.6.

    Args:
        dataset: `"glyphs"` or `"omniglot_strokes"`.
        data_dir: TFDS folder of the pictures; TFDS' own default if None.
        manual_dir: folder with the official `strokes_background` zips, used instead of a download;
            if `images_background.zip` is in it too, the pictures are taken from it as well.
        strokes_dir: TFDS folder of the trajectories; `data_dir` if None.
        rotations: whether training characters rotated by 90, 180 and 270 degrees, with their
            descriptors, are three classes more.

    Returns:
        Dict from `"train"`, `"validation"`, `"test"` to `DescribedClasses`.

    Raises:
        SettingError: there is no such data set.
        DatasetError: the data cannot be had, or trajectories and drawings do not belong together.
    """
    if dataset == "glyphs":
        characters = load_characters("glyphs", data_dir)
        programs, counts = glyphs.character_programs(classes=len(characters.names))
        descriptors = np.stack(
            [
                strokes.resample(list(glyphs.trace(program[:count])), POINTS)[None]
                for program, count in zip(programs, counts, strict=True)
            ]
        )
        split = split_classes(characters, "lake", rotations=False)
        parts = {part: [index for index, _ in split[part]] for part in SPLITS}
    elif dataset == "omniglot_strokes":
        trajectories = strokes.load_trajectories(strokes_dir or data_dir, manual_dir)
        characters = load_characters("omniglot", data_dir, _with_pictures(manual_dir))
        index = {name: number for number, name in enumerate(characters.names.tolist())}
        descriptors = {
            index[name]: _descriptors_of_drawings(name, characters.images[index[name]], drawn)
            for name, drawn in trajectories.items()
        }
        parts = {part: [] for part in SPLITS}
        for name in trajectories:
            alphabet = name.split("/")[0]
            held_out = {"validation": VALIDATION_ALPHABETS, "test": TEST_ALPHABETS}
            part = next((p for p in held_out if alphabet in held_out[p]), "train")
            parts[part].append(index[name])
    else:
        raise SettingError(f"dataset must be 'glyphs' or 'omniglot_strokes', got {dataset!r}.")
    return {
        part: _gather(
            characters,
            descriptors,
            classes,
            (0, 90, 180, 270) if rotations and part == "train" else (0,),
        )
        for part, classes in parts.items()
    }


def _with_pictures(manual_dir):
    """`manual_dir` if Omniglot's pictures are in it; else None, so that they are downloaded."""
    pictures = manual_dir and pathlib.Path(manual_dir).expanduser() / "images_background.zip"
    return manual_dir if pictures and pictures.is_file() else None


def _descriptors_of_drawings(name, drawings, trajectories):
    order, similarity = strokes.match_drawings(drawings, trajectories)
    if similarity < 0.8:
        raise DatasetError(
            f"The trajectories of {name} do not fit its drawings (mean cosine {similarity:.2f}): "
            "pictures and strokes are not of the same release."
        )
    return np.stack([strokes.resample(trajectories[number], POINTS) for number in order])


def _gather(characters, descriptors, classes, rotations):
    pairs = [(index, degrees) for index in classes for degrees in rotations]
    described = np.stack([rotate(descriptors[index], degrees) for index, degrees in pairs])
    return DescribedClasses(gather_classes(characters, pairs), described)


def rotate(descriptors, degrees):
    """Turns descriptors counterclockwise, as `np.rot90` turns pictures.

    Args:
        descriptors: float `[..., 3]`, as from `strokes.resample`.
        degrees: a multiple of 90.

    Returns:
        An array of the same shape and dtype.
    """
    turned = np.array(descriptors)
    for _ in range(degrees // 90 % 4):
        turned[..., 0], turned[..., 1] = turned[..., 1].copy(), -turned[..., 0]
    return turned


def zero_shot_episodes(described, nway, nquery, *, seed, count, start=0, meta_batch=1, every=1):
    """A dataset of zero-shot episodes, each a pure function of its number and the seed.

    Of every class one drawing is drawn whose drawer describes the class, and Q others to query.

    Args:
        described: `DescribedClasses`.
        nway, nquery: N, Q.
        seed, count, start, meta_batch, every: as in `episodes`.

    Returns:
        A `tf.data.Dataset` of `(x, y)` batches, x a dict of `descriptors` float32
        `[B, N, points, 3]` and `query_images` float32 `[B, N*Q, H, W, 1]`, y int32 `[B, N*Q]`.

    Raises:
        SettingError: there are not enough classes or drawings, or a number is out of range.
    """
    pictures = ImageClasses.of(described.drawings)
    check_episodes(pictures, nway, 1, nquery, count, start, meta_batch)
    read, descriptors = pictures.reader(), tf.constant(described.descriptors)
    drawings = described.drawings.shape[1]

    def episode(index):
        seeds = tf.constant(seed, tf.int64), index
        classes, numbers = choose(pictures.places, *seeds, nway, 1 + nquery)
        describing = numbers[:, 0] % drawings % descriptors.shape[1]
        images = read(numbers[:, 1:])
        x = {
            "descriptors": tf.gather_nd(descriptors, tf.stack([classes[:, 0], describing], -1)),
            "query_images": tf.cast(tf.reshape(images, [-1, *images.shape[2:]]), tf.float32)
            / 255.0,
        }
        return x, tf.repeat(tf.range(nway), nquery)

    indices = tf.data.Dataset.range(start, start + count * every, every)
    return (
        indices.map(episode, num_parallel_calls=2)
        .batch(meta_batch, drop_remainder=True)
        .prefetch(4)
    )
