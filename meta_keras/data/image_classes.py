"""Classes of pictures, however many pictures of whatever shape, in memory or on disk."""

import dataclasses

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True, eq=False)
class ImageClasses:
    """Pictures by class; classes may be of different size.

    Attributes:
        images: uint8 `[n, H, W, C]`. A memory map stays on disk, and only the pictures that are
            drawn are read.
        places: int32 `[classes, most pictures of a class]`, the numbers in `images` of every
            class's pictures; -1 where a class has no more.
        names: str `[classes]`; None where the classes have no names.
    """

    images: np.ndarray
    places: np.ndarray
    names: np.ndarray | None = None

    def __post_init__(self):
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise ValueError(
                "images must be uint8 [n, H, W, C], got "
                f"{self.images.dtype} {list(self.images.shape)}."
            )

    @classmethod
    def of(cls, drawings):
        """Classes of `drawings`: uint8 `[classes, drawings a class, H, W]`, grey.

        Blank drawings, all 0, are places left over in a smaller class. What are `ImageClasses`
        already stay what they are.

        Raises:
            ValueError: the drawings have another shape or dtype.
        """
        if isinstance(drawings, cls):
            return drawings
        drawings = np.asarray(drawings)
        if drawings.ndim != 4 or drawings.dtype != np.uint8:
            raise ValueError(
                "drawings must be uint8 [classes, drawings a class, H, W], got "
                f"{drawings.dtype} {list(drawings.shape)}."
            )
        numbers = np.arange(drawings.shape[0] * drawings.shape[1]).reshape(drawings.shape[:2])
        places = np.where(drawings.any(axis=(2, 3)), numbers, -1).astype(np.int32)
        return cls(drawings.reshape(-1, *drawings.shape[2:], 1), places)

    @classmethod
    def by_labels(cls, images, labels, names):
        """Classes of pictures in any order.

        Args:
            images: uint8 `[n, H, W, C]`.
            labels: int `[n]`, numbers of names; pictures with a negative one are in no class.
            names: str `[classes]`.
        """
        members = [np.flatnonzero(labels == label) for label in range(len(names))]
        places = np.full((len(names), max(map(len, members), default=0)), -1, np.int32)
        for place, numbers in zip(places, members, strict=True):
            place[: len(numbers)] = numbers
        return cls(images, places, np.asarray(names))

    @property
    def counts(self):
        """The number of pictures of every class, int `[classes]`."""
        return (self.places >= 0).sum(axis=1)

    def __len__(self):
        return len(self.places)

    def part(self, classes):
        """Some of the classes, over the same pictures.

        Args:
            classes: list of int.

        Returns:
            `ImageClasses`.
        """
        classes = np.asarray(classes, int)
        return ImageClasses(
            self.images,
            self.places[classes],
            None if self.names is None else self.names[classes],
        )

    def reader(self):
        """A function that a `tf.data` pipeline reads pictures with.

        Returns:
            A function from int32 numbers in `images`, of any shape, to uint8 `[..., H, W, C]`.
        """
        if not isinstance(self.images, np.memmap):
            # As a tensor they are an input of the pipeline, not a constant copied into its graph.
            images = tf.constant(self.images)
            return lambda numbers: tf.gather(images, numbers)

        def read(numbers):
            found = tf.numpy_function(self.images.__getitem__, [numbers], tf.uint8, stateful=False)
            return tf.ensure_shape(found, [*numbers.shape, *self.images.shape[1:]])

        return read
