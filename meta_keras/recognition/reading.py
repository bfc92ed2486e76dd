"""From files to what a recognizer takes: drawings of characters, or features of photographs."""

import keras
import numpy as np
from PIL import Image

from meta_keras.data import folder as folders
from meta_keras.data.photographs import read_photograph, read_photographs
from meta_keras.errors import SettingError
from meta_keras.learners import R2D2, EpisodicLearner, SimpleShot
from meta_keras.networks import load_backbone

BATCH = 32  # Photographs that are in memory at a time.
# On features of frozen backbones: what is trained where the backbone is not, in a closed form.
HEADS = {
    "ridge": lambda features: R2D2(features, ridge=0.3, unit=True),
    "simple_shot": SimpleShot,
}
THUMBNAIL = 96  # Side in pixels.
# The share of half-tones in drawings of 28x28 pixels: 0.06 in the middle for Omniglot's, 0.09 for
# simulated photographs of those, 0.15 for photographs of other things that are read as if.
HALF_TONES = 0.125


def load_learner(preset, classes):
    """The learner of a preset and the side of its pictures.

    Args:
        preset: a name or a folder.
        classes: number of classes it is going to be used for; None for any number.

    Returns:
        `(EpisodicLearner, int)`.

    Raises:
        PresetError: there is no such preset, or it is no few-shot learner.
        SettingError: it cannot tell so many classes apart, or needs other pictures.
    """
    learner = EpisodicLearner.from_preset(preset)
    number = learner.num_classes
    if classes is None and number is not None:
        raise SettingError(
            f"preset={preset} tells exactly {number} classes apart; name one of a metric method, "
            "which takes any number."
        )
    if number not in (None, classes):
        raise SettingError(
            f"`support` has {classes} classes, but preset={preset} "
            f"tells exactly {number} apart. Give {number} class folders, or a preset of a "
            "metric method, which takes any number."
        )
    shape = learner.network.input_shape[1:]
    if len(shape) != 3 or shape[0] is None or shape[0] != shape[1] or shape[2] != 1:
        raise SettingError(
            f"preset={preset} is for pictures of shape {shape}; only square grey ones "
            "can be made of files."
        )
    return learner, shape[0]


def to_network(images):
    """uint8 `[n, size, size]` to what networks take: float32 `[n, size, size, 1]` in [0, 1]."""
    return images[..., None].astype(np.float32) / 255


class Characters:
    """Pictures of one character each, for a preset that was trained on such.

    Attributes:
        learner: an `EpisodicLearner`, which takes what `read` gives.
        network: None, as it takes pictures.
    """

    network = None

    def __init__(self, preset, classes):
        self.learner, self.size = load_learner(preset, classes)

    def read(self, files):
        """Reads pictures; damaged ones are left out.

        Args:
            files: list of paths.

        Returns:
            `(inputs, shown, read, skipped)`: float32 `[n, size, size, 1]` in [0, 1], ink 1; what to
            show of them, here the same; the list of their n files; and a list of `(file, reason)`
            for the others.
        """
        images, read, skipped = folders.read_pictures(files, self.size)
        images = to_network(images)
        return images, images, read, skipped


class Photographs:
    """Photographs, seen by a frozen backbone; nothing needs to be trained.

    Args:
        backbone: path of a `.keras` file, or a name of `keras.applications`; see
            `meta_keras.networks.load_backbone`.
        head: `"ridge"`, ridge regression from features of length 1 to the classes, as
            [Bertinetto et al. 2019](https://arxiv.org/abs/1805.08136) solve it; or `"simple_shot"`,
            distances to the means of the classes, as
            [Wang et al. 2019](https://arxiv.org/abs/1911.04623) compare them.

    Attributes:
        learner: `R2D2` or `SimpleShot` on features.
        network: `keras.Model`, pictures in [0, 1] to features.
    """

    def __init__(self, backbone, head="ridge"):
        if head not in HEADS:
            raise SettingError(f"head={head!r} must be one of {', '.join(HEADS)}.")
        self.network = load_backbone(backbone)
        shape = self.network.input_shape[1:]
        if len(shape) != 3 or shape[0] is None or shape[0] != shape[1] or shape[2] != 3:
            raise SettingError(
                f"backbone={backbone} is for pictures of shape {shape}; only square ones in colour "
                "can be made of photographs."
            )
        self.size = shape[0]
        features = keras.Input(self.network.output_shape[1:], name="features")
        self.learner = HEADS[head](keras.Model(features, keras.layers.Identity()(features)))

    def from_pixels(self):
        """The backbone as a `keras.Model` for pixels 0..255, as files have them."""
        pixels = keras.Input((self.size, self.size, 3), name="image")
        return keras.Model(pixels, self.network(keras.layers.Rescaling(1 / 255)(pixels)))

    def picture(self, file):
        """A photograph as the backbone sees it, uint8 `[size, size, 3]`; see `read_photograph`."""
        return read_photograph(file, self.size)

    def read(self, files):
        """Reads photographs, a batch at a time; damaged ones are left out.

        Args:
            files: list of paths, or of file objects.

        Returns:
            `(inputs, shown, read, skipped)`: float32 `[n, D]`, their features; uint8
            `[n, 96, 96, 3]`, to show; the list of their n files; and a list of `(file, reason)` for
            the others.
        """
        width = self.network.output_shape[-1]
        features = [np.zeros((0, width), np.float32)]
        shown, read, skipped = [], [], []
        for images, files_read, unreadable in read_photographs(files, self.size, BATCH):
            read += files_read
            skipped += unreadable
            shown += [np.asarray(Image.fromarray(i).resize((THUMBNAIL,) * 2)) for i in images]
            # One shape of batches, so that nothing is traced anew.
            padded = np.zeros((BATCH, self.size, self.size, 3), np.float32)
            padded[: len(images)] = images / np.float32(255)
            features.append(self.network.predict_on_batch(padded)[: len(images)])
        shown = np.array(shown, np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL, 3)
        return np.concatenate(features), shown, read, skipped


def is_no_characters(images):
    """Whether pictures, taken together, hardly show characters on plain paper.

    Lines are ink or paper, but for their edges; what is read of a photograph has half-tones.

    Args:
        images: float `[n, size, size, 1]` in [0, 1], ink 1, of any number of pictures but none.

    Returns:
        A bool.
    """
    half_tones = (images > 0.2) & (images < 0.8)
    return bool(np.median(half_tones.mean(axis=(1, 2, 3))) > HALF_TONES)


def read_support(reader, found, warn):
    """Reads the support set.

    Args:
        reader: `Characters` or `Photographs`.
        found: dict from a class to the paths of its pictures, as from `class_folders`.
        warn: function that is told of a list of skipped `(file, reason)`.

    Returns:
        `(inputs, shown, labels, skipped)`: as from `reader.read`, and int32 `[n]`, the number of
        each one's class.

    Raises:
        SettingError: a class has no picture, or none that can be read.
    """
    inputs, shown, read, skipped = reader.read([path for paths in found.values() for path in paths])
    warn(skipped)
    place = {path: label for label, paths in enumerate(found.values()) for path in paths}
    labels = np.array([place[path] for path in read], np.int32)
    for label, (name, paths) in enumerate(found.items()):
        if label not in labels:
            raise SettingError(
                f"class {name!r} of `support` has no picture"
                + (" that can be read." if paths else ".")
            )
    return inputs, shown, labels, skipped
