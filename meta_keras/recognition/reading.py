"""From files to what a recognizer takes: drawings of characters, or features of photographs."""

import contextlib
import itertools

import keras
import numpy as np
from PIL import Image

from meta_keras.data import folder as folders
from meta_keras.data.photographs import read_photograph, read_photographs
from meta_keras.errors import SettingError
from meta_keras.learners import R2D2, EpisodicLearner, SimpleShot
from meta_keras.learners.r2d2 import FROZEN_RIDGE
from meta_keras.networks import load_backbone
from meta_keras.training.feature_cache import FeatureCache

BATCH = 32  # Photographs that are in memory at a time.
CHARACTERS = 256  # Likewise, of characters.
# On features of frozen backbones: what is trained where the backbone is not, in a closed form.
HEADS = {
    "ridge": lambda features: R2D2(features, ridge=FROZEN_RIDGE, unit=True),
    "simple_shot": SimpleShot,
    "l2n": lambda features: SimpleShot(features, centre="none"),
}
THUMBNAIL = 96  # Side in pixels.


def load_learner(preset, classes, channels=(1,)):
    """The learner of a preset and the side of its pictures.

    Args:
        preset: a name or a folder.
        classes: number of classes it is going to be used for; None for any number.
        channels: tuple of the numbers of channels that its pictures may have.

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
    return learner, square_side(f"preset={preset}", learner.network, channels)


def square_side(argument, network, channels):
    """The side of the square pictures that a network takes.

    Args:
        argument: what named the network, for the message.
        network: a `keras.Model` with an `input_shape`.
        channels: tuple of the numbers of channels that its pictures may have.

    Returns:
        An int.

    Raises:
        SettingError: it needs other pictures.
    """
    shape = network.input_shape[1:]
    if len(shape) != 3 or shape[0] is None or shape[0] != shape[1] or shape[2] not in channels:
        kinds = " or ".join({1: "grey", 3: "coloured"}[number] for number in channels)
        raise SettingError(
            f"{argument} is for pictures of shape {shape}; only square {kinds} ones can be made of "
            "files here."
        )
    return shape[0]


def to_network(images):
    """uint8 `[n, size, size]` to what networks take: float32 `[n, size, size, 1]` in [0, 1]."""
    return images[..., None].astype(np.float32) / 255


class Reader:
    """Makes of files what a learner takes.

    Attributes:
        learner: an `EpisodicLearner`, which takes what is read.
    """

    def batches(self, files):
        """Reads pictures, a few at a time; damaged ones are left out.

        Args:
            files: list of paths, or of file objects.

        Yields:
            `(inputs, shown, read, skipped)`: n inputs for the learner; what to show of them; the
            list of their n files; and a list of `(file, reason)` for the others of the batch.
        """
        raise NotImplementedError

    def read(self, files):
        """All batches as one.

        Args:
            files: list of paths, or of file objects, one at least.
        """
        inputs, shown, read, skipped = zip(*self.batches(files), strict=True)
        return (
            np.concatenate(inputs),
            np.concatenate(shown),
            list(itertools.chain.from_iterable(read)),
            list(itertools.chain.from_iterable(skipped)),
        )


class Characters(Reader):
    """Pictures of one character each, for a learner that was trained on such.

    Inputs are float32 `[n, size, size, 1]` in [0, 1], ink 1, and shown as they are.

    Args:
        learner: an `EpisodicLearner` of square grey pictures, whose side is `size`.
    """

    def __init__(self, learner):
        self.learner, self.size = learner, learner.network.input_shape[1]

    def batches(self, files):
        for start in range(0, len(files), CHARACTERS):
            images, read, skipped = folders.read_pictures(
                files[start : start + CHARACTERS], self.size
            )
            images = to_network(images)
            yield images, images, read, skipped


class LearnedPhotographs(Reader):
    """Photographs, for a learner that was trained on such.

    Inputs are float32 `[n, size, size, 3]` in [0, 1]; shown are uint8 `[n, 96, 96, 3]`.

    Args:
        learner: an `EpisodicLearner` of square pictures in colour, whose side is `size`.
    """

    network = None

    def __init__(self, learner):
        self.learner, self.size = learner, learner.network.input_shape[1]

    def inputs(self, images):
        """What the learner takes of uint8 `[n, size, size, 3]`."""
        return images / np.float32(255)

    def from_pixels(self):
        """A `keras.Model` from pixels 0..255, as files have them, to what the learner takes."""
        pixels = keras.Input((self.size, self.size, 3), name="image")
        scaled = keras.layers.Rescaling(1 / 255)(pixels)
        return keras.Model(pixels, self.network(scaled) if self.network else scaled)

    def picture(self, file):
        """A photograph as a network sees it, uint8 `[size, size, 3]`; see `read_photograph`."""
        return read_photograph(file, self.size)

    def batches(self, files):
        with self.kept():
            for images, read, skipped in read_photographs(files, self.size, BATCH):
                shown = [np.asarray(Image.fromarray(i).resize((THUMBNAIL,) * 2)) for i in images]
                shown = np.array(shown, np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL, 3)
                yield self.inputs(images), shown, read, skipped

    def kept(self):
        """A context at whose end what was computed is kept, however it ends."""
        return contextlib.nullcontext()


class Photographs(LearnedPhotographs):
    """Photographs, seen by a frozen backbone; nothing needs to be trained.

    Inputs of the learner are the backbone's features, float32 `[n, D]`.

    Args:
        backbone: path of a `.keras` file, or a name of `keras.applications`; see
            `meta_keras.networks.load_backbone`.
        head: `"ridge"`, ridge regression from features of length 1 to the classes, as
            [Bertinetto et al. 2019](https://arxiv.org/abs/1805.08136) solve it, lambda 0.5;
            `"simple_shot"`, distances to the means of the classes, of features that are centred and
            scaled to length 1 (CL2N of [Wang et al. 2019](https://arxiv.org/abs/1911.04623)); or
            `"l2n"`, the same without a centre, so that no distance depends on the other classes.

        keep: whether features are kept on disk, so that no picture is computed twice.

    Attributes:
        learner: `R2D2` or `SimpleShot` on features.
        network: `keras.Model`, pictures in [0, 1] to features.
    """

    def __init__(self, backbone, head="ridge", keep=False):
        if head not in HEADS:
            raise SettingError(f"head={head!r} must be one of {', '.join(HEADS)}.")
        self.network = load_backbone(backbone)
        self.size = square_side(f"backbone={backbone}", self.network, (3,))
        self.features = FeatureCache(backbone, self.network, batch_size=BATCH, keep=keep)
        features = keras.Input(self.network.output_shape[1:], name="features")
        self.learner = HEADS[head](keras.Model(features, keras.layers.Identity()(features)))

    def inputs(self, images):
        return self.features(images)

    def kept(self):
        return self.features


def preset_reader(preset, classes):
    """The reader that a preset says: of grey pictures are characters, of coloured photographs.

    Args:
        preset, classes: as in `load_learner`, which says what is raised.

    Returns:
        `Characters` or `LearnedPhotographs`.
    """
    learner, _ = load_learner(preset, classes, channels=(1, 3))
    return (Characters if learner.network.input_shape[-1] == 1 else LearnedPhotographs)(learner)


def check_classes(found):
    """Raises a `SettingError` if a class has no picture; `found` as for `read_support`."""
    for name, paths in found.items():
        if not paths:
            raise SettingError(f"class {name!r} of `support` has no picture.")


def read_support(reader, found, warn):
    """Reads the support set.

    Args:
        reader: a `Reader`.
        found: dict from a class to the paths of its pictures, as from `class_folders`.
        warn: function that is told of a list of skipped `(file, reason)`.

    Returns:
        `(inputs, shown, labels, skipped)`: as from `reader.read`, and int32 `[n]`, the number of
        each one's class.

    Raises:
        SettingError: a class has no picture, or none that can be read.
    """
    check_classes(found)
    inputs, shown, read, skipped = reader.read([path for paths in found.values() for path in paths])
    warn(skipped)
    place = {path: label for label, paths in enumerate(found.values()) for path in paths}
    labels = np.array([place[path] for path in read], np.int32)
    for label, name in enumerate(found):
        if label not in labels:
            raise SettingError(f"class {name!r} of `support` has no picture that can be read.")
    return inputs, shown, labels, skipped
