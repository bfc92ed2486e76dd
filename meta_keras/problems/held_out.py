"""Networks and data that no optimizer here is trained on: what one for any network is tested on."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from meta_keras import data
from meta_keras.data.preparation import naming_damage, opened, prepare
from meta_keras.problems.networks import dense_model

TRAINING, HELD_OUT = 20_000, 4_000  # examples at most
LENGTH, SYMBOLS = 12, 8  # of sequences


class HeldOutTask(NamedTuple):
    """What a user would train: a network, its loss, and data in two parts.

    Attributes:
        make_model: function to a new `keras.Model`, with initial weights by Keras' global seed.
        loss: a `keras.losses.Loss`.
        train, held_out: `(x, y)`, tensors or arrays.
        batch_size: examples of a minibatch.
        distance: how it differs from what `training_tasks` has, in words.
    """

    make_model: Callable
    loss: keras.losses.Loss
    train: tuple
    held_out: tuple
    batch_size: int
    distance: str

    @property
    def classifies(self):
        """Whether an accuracy says more than the loss."""
        return isinstance(self.loss, keras.losses.SparseCategoricalCrossentropy)


def held_out_tasks(data_dir=None, manual_dir=None):
    """Thirteen tasks of which none is among `training_tasks` or `validation_tasks`.

    Pictures have all their pixels, where the training had means of 2x2 or 4x4; of Omniglot, tables,
    residual convolutions and GRUs it had none, of recurrence and attention other networks and other
    questions.

    Args:
        data_dir: TFDS folder with MNIST, CIFAR-100 and Omniglot; TFDS' own default if None.
        manual_dir: folder with Omniglot's official zip files.

    Returns:
        Dict from a name to a `HeldOutTask`.

    Raises:
        DatasetError: the data cannot be had, or are damaged.
    """
    classes = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    squares = keras.losses.MeanSquaredError()
    # Tensors, once: the many graphs of a test hold them.
    digits = _tensors(_pictures("mnist:3.0.1", "label", data_dir))
    colours = _tensors(_pictures("cifar100:3.0.2", "coarse_label", data_dir))
    letters = _tensors(_characters(data_dir, manual_dir))
    table, sequences = _tensors(_friedman()), _tensors(_sequences())
    copies = tuple((x, tf.reshape(x, [len(x), -1])) for x, _ in digits)
    small, glorot = 0.01, "glorot_uniform"  # initialisations
    digit_tasks = {
        "MNIST, 20 sigmoid": (small, [20], "sigmoid", 128, "4 times the inputs; the paper's"),
        "MNIST, 20 ReLU": (small, [20], "relu", 128, "4 times the inputs; small weights"),
        "MNIST, 100-100 ReLU": (glorot, [100] * 2, "relu", 128, "13 times the weights"),
        "MNIST, 64-64-64 tanh": (glorot, [64] * 3, "tanh", 64, "three layers; 9 times the weights"),
        "MNIST, 50-50-50-50 ELU": (glorot, [50] * 4, "elu", 64, "ELU without convolutions"),
        "MNIST, 256 GELU": (glorot, [256], "gelu", 128, "its activation; 4 times the weights"),
    }
    tasks = {
        name: HeldOutTask(
            functools.partial(dense_model, (28, 28, 1), units, 10, activation, initializer),
            classes,
            *digits,
            batch,
            distance,
        )
        for name, (initializer, units, activation, batch, distance) in digit_tasks.items()
    }
    tasks |= {
        "MNIST, normalised convolutions": HeldOutTask(
            functools.partial(_convolutional, (28, 28, 1), [16, 32], 10),
            classes, *digits, 64, "strides; 4 times the pixels",
        ),
        "CIFAR-100, residual convolutions": HeldOutTask(
            functools.partial(_residual, (32, 32, 3), 16, 20),
            classes, *colours, 64, "residual blocks, global pooling; 16 times the pixels",
        ),
        "Omniglot, 20 characters": HeldOutTask(
            functools.partial(_convolutional, (28, 28, 1), [16, 16, 16], 20),
            classes, *letters, 32, "other pictures, 300 of them; three convolutions",
        ),
        "MNIST, an autoencoder": HeldOutTask(
            functools.partial(
                dense_model, (28, 28, 1), [128, 16, 128], 784, "relu", last="sigmoid"
            ),
            squares, *copies, 64, "three layers with a bottleneck; 18 times the weights",
        ),
        "a table (Friedman)": HeldOutTask(
            functools.partial(dense_model, (10,), [64, 64], 1, "relu"),
            squares, *table, 32, "a regression with noise, 2,000 rows",
        ),
        "sequences, a GRU": HeldOutTask(
            _recurrent, classes, *sequences, 64, "a GRU, 108 symbols; another question",
        ),
        "sequences, a transformer": HeldOutTask(
            _transformer, classes, *sequences, 64,
            "normalised before attention, 108 symbols; another question",
        ),
    }  # fmt: skip
    return tasks


def _tensors(parts):
    return tuple(tuple(map(tf.constant, part)) for part in parts)


def _convolutional(shape, filters, outputs):
    """Convolutions with strides, each with batch normalisation and ReLU."""
    parts = []
    for width in filters:
        parts += [
            keras.layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
        ]
    return keras.Sequential(
        [keras.Input(shape), *parts, keras.layers.Flatten(), keras.layers.Dense(outputs)]
    )


def _residual(shape, filters, outputs):
    """Two residual blocks after a convolution with strides."""

    def convolution(x, strides=1):
        x = keras.layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(x)
        return keras.layers.BatchNormalization()(x)

    images = keras.Input(shape)
    x = keras.layers.ReLU()(convolution(images, 2))
    for _ in range(2):
        inner = keras.layers.ReLU()(convolution(x))
        x = keras.layers.ReLU()(x + convolution(inner))
        x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, keras.layers.Dense(outputs)(x))


def _recurrent():
    tokens = keras.Input((LENGTH,), dtype="int32")
    x = keras.layers.Embedding(LENGTH * (SYMBOLS + 1), 16)(tokens)
    x = keras.layers.GRU(32, unroll=True)(x)
    return keras.Model(tokens, keras.layers.Dense(SYMBOLS)(x))


def _transformer():
    tokens = keras.Input((LENGTH,), dtype="int32")
    x = keras.layers.Embedding(LENGTH * (SYMBOLS + 1), 32)(tokens)
    for _ in range(2):
        inner = keras.layers.LayerNormalization()(x)
        x = x + keras.layers.MultiHeadAttention(4, 8)(inner, inner)
        inner = keras.layers.LayerNormalization()(x)
        inner = keras.layers.Dense(64, "gelu")(inner)
        x = x + keras.layers.Dense(32)(inner)
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.LayerNormalization()(x))
    return keras.Model(tokens, keras.layers.Dense(SYMBOLS)(x))


def _pictures(name, label, data_dir):
    """Two parts of a data set of TFDS, of its training and of its test examples."""
    import tensorflow_datasets as tfds

    builder = opened(
        name.partition(":")[0], lambda folder: tfds.builder(name, data_dir=folder), data_dir
    )
    prepare(builder)
    parts = []
    with naming_damage(builder):
        for split, count in (("train", TRAINING), ("test", HELD_OUT)):
            read = builder.as_dataset(split=split, shuffle_files=False).take(count)
            batches = list(read.batch(4096).as_numpy_iterator())
            pictures = np.concatenate([batch["image"] for batch in batches])
            labels = np.concatenate([batch[label] for batch in batches])
            parts.append((pictures.astype(np.float32) / 255, labels))
    return tuple(parts)


def _characters(data_dir, manual_dir, count=20, drawings=15):
    """Characters of Omniglot: of every one, the drawings of 15 people, and those of the others."""
    characters = data.load_characters("omniglot", data_dir, manual_dir)
    chosen = data.split_classes(characters, "random", rotations=False)["test"][:count]
    images = data.gather_classes(characters, chosen)[..., None].astype(np.float32) / 255
    labels = np.repeat(np.arange(count)[:, None], images.shape[1], axis=1)
    parts = (
        (images[:, :drawings], labels[:, :drawings]),
        (images[:, drawings:], labels[:, drawings:]),
    )
    return tuple((x.reshape(-1, *x.shape[2:]), y.ravel()) for x, y in parts)


def _friedman(rows=2_000, held_out=1_000):
    """A regression on a table of ten columns, five of which matter.

        y = 10 sin(pi x_1 x_2) + 20 (x_3 - 1/2)^2 + 10 x_4 + 5 x_5 + noise,    x ~ U[0, 1)

    J. Friedman 1991, "Multivariate adaptive regression splines",
    https://doi.org/10.1214/aos/1176347963; y is divided by its deviation, about 5.
    """
    rng = np.random.default_rng(1991)
    x = rng.uniform(size=(rows + held_out, 10))
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
    y += 10 * x[:, 3] + 5 * x[:, 4] + rng.normal(size=len(x))
    x, y = x.astype(np.float32), ((y - y.mean()) / y.std()).astype(np.float32)[:, None]
    return (x[:rows], y[:rows]), (x[rows:], y[rows:])


def _sequences():
    """Twelve symbols of eight, one of them replaced by a mark: which one follows the mark?

    Every token tells the symbol and its place, so that attention knows places.
    """
    rng = np.random.default_rng(12)
    symbols = rng.integers(0, SYMBOLS, (TRAINING + HELD_OUT, LENGTH))
    rows, mark = np.arange(len(symbols)), rng.integers(0, LENGTH - 1, len(symbols))
    symbols[rows, mark] = SYMBOLS
    x = (symbols * LENGTH + np.arange(LENGTH)).astype(np.int32)
    y = symbols[rows, mark + 1]
    return (x[:TRAINING], y[:TRAINING]), (x[TRAINING:], y[TRAINING:])
