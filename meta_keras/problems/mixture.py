"""Many small networks on small data: what an optimizer for any network is trained on."""

import functools

import keras
import numpy as np
import tensorflow as tf

from meta_keras.data.preparation import naming_damage, opened, prepare
from meta_keras.problems.model import ModelProblem
from meta_keras.problems.networks import (
    attention_model,
    convolutional_model,
    dense_model,
    recurrent_model,
    residual_model,
)

SETS = {"mnist": ("mnist:3.0.1", "label", 2), "cifar": ("cifar100:3.0.2", "coarse_label", 4)}
PICTURES = 20_000


@functools.lru_cache(maxsize=4)
def small_pictures(name, data_dir=None):
    """Reduced pictures of TFDS: means of 2x2 pixels of MNIST, of 4x4 of CIFAR-100 (20 classes).

    Args:
        name: `"mnist"` or `"cifar"`.
        data_dir: TFDS folder; TFDS' own default if None.

    Returns:
        `(pictures, labels)`: float32 `[20000, 14, 14, 1]` or `[20000, 8, 8, 3]`, with mean 0 and
        deviation 1 over all pixels; int64 `[20000]`.

    Raises:
        DatasetError: the data cannot be had, or are damaged.
    """
    import tensorflow_datasets as tfds

    full_name, label, factor = SETS[name]
    builder = opened(
        full_name.partition(":")[0],
        lambda folder: tfds.builder(full_name, data_dir=folder),
        data_dir,
    )
    prepare(builder)
    with naming_damage(builder):
        data = builder.as_dataset(split="train", shuffle_files=False).take(PICTURES)
        batches = list(data.batch(4096).as_numpy_iterator())
    pictures = np.concatenate([batch["image"] for batch in batches]).astype(np.float32)
    count, height, width, channels = pictures.shape
    shape = (count, height // factor, factor, width // factor, factor, channels)
    pictures = pictures.reshape(shape).mean(axis=(2, 4))
    labels = np.concatenate([batch[label] for batch in batches])
    return (pictures - pictures.mean()) / pictures.std(), labels


def training_tasks(data_dir=None):
    """What the optimizer is trained on: dict from a name to a `ModelProblem`.

    Networks of 33 to 52,000 weights: MNIST of 14x14 and CIFAR-100 of 8x8 pixels with its 20 coarse
    classes; regression, of a random network's answers and an ill-conditioned linear one; an
    autoencoder; two questions about sequences. They are dense, convolutional, recurrent and with
    attention, and differ in activation, depth, width, initialisation, normalisation and batch size.

    Args:
        data_dir: TFDS folder; TFDS' own default if None.
    """
    mnist, cifar = (small_pictures(name, data_dir) for name in SETS)
    digit, colour = mnist[0].shape[1:], cifar[0].shape[1:]
    x = mnist[0].reshape(len(mnist[0]), -1)
    models = {
        "digits, 20 sigmoid, small weights": (
            dense_model(digit, [20], 10, "sigmoid", 0.01),
            mnist,
            128,
        ),
        "digits, 32-32 ReLU": (dense_model(digit, [32, 32], 10, "relu"), mnist, 64),
        "digits, 64 tanh": (dense_model(digit, [64], 10, "tanh"), mnist, 32),
        "digits, 24-24-24-24 ReLU": (
            dense_model(digit, [24] * 4, 10, "relu", "he_normal"),
            mnist,
            64,
        ),
        "digits, 256 ReLU": (dense_model(digit, [256], 10, "relu", "he_normal"), mnist, 32),
        "digits, convolutions": (convolutional_model(digit, [8, 8], 10, "relu"), mnist, 32),
        "digits, normalised convolutions": (
            convolutional_model(digit, [8, 8], 10, "relu", normalized=True),
            mnist,
            64,
        ),
        "colours, 64 ReLU": (dense_model(colour, [64], 20, "relu"), cifar, 64),
        "colours, 96 tanh, small weights": (
            dense_model(colour, [96], 20, "tanh", 0.01),
            cifar,
            128,
        ),
        "colours, ELU convolutions": (convolutional_model(colour, [16, 16], 20, "elu"), cifar, 64),
        "a random network": (dense_model((8,), [32, 32], 1, "tanh"), _teacher(), 32),
        "a line, ill conditioned": (dense_model((32,), [], 1, None), _line(), 16),
        "an autoencoder of digits": (dense_model((196,), [32], 196, "sigmoid"), (x, x), 64),
        "digits, normalised residual layers": (residual_model(digit, 48, 2, 10, "relu"), mnist, 64),
        "digits, rows, LSTM": (recurrent_model(digit, _lstm(24), 10), mnist, 64),
        "colours, rows, attention": (attention_model(colour, 32, 2, 20, blocks=2), cifar, 64),
        "the first symbol, LSTM": (recurrent_model((6,), _lstm(16), 10, 10), _first(), 32),
        "the symbol pointed at, attention": (
            attention_model((6, 6), 32, 4, 6),
            _pointed_at(),
            64,
        ),
    }
    return {name: _problem(*parts) for name, parts in models.items()}


def validation_tasks(data_dir=None):
    """What the best checkpoint is chosen by: as `training_tasks`, none of them the same."""
    mnist, cifar = (small_pictures(name, data_dir) for name in SETS)
    digit, colour = mnist[0].shape[1:], cifar[0].shape[1:]
    models = {
        "digits, 48-48-48 SELU": (
            dense_model(digit, [48] * 3, 10, "selu", "lecun_normal"),
            mnist,
            128,
        ),
        "digits, 20 ReLU, small weights": (dense_model(digit, [20], 10, "relu", 0.01), mnist, 128),
        "digits, 128-64 ReLU": (dense_model(digit, [128, 64], 10, "relu"), mnist, 64),
        "colours, 20 sigmoid": (dense_model(colour, [20], 20, "sigmoid"), cifar, 64),
        "colours, normalised convolutions": (
            convolutional_model(colour, [12, 24], 20, "relu", normalized=True),
            cifar,
            64,
        ),
        "another random network": (dense_model((8,), [64], 1, "relu"), _teacher(1), 64),
        "digits, columns, attention": (attention_model(digit, 24, 2, 10, axis=2), mnist, 32),
        "colours, normalised residual layers": (
            residual_model(colour, 32, 3, 20, "gelu"),
            cifar,
            128,
        ),
    }
    return {name: _problem(*parts) for name, parts in models.items()}


def _problem(model, data, batch_size):
    x, y = data
    loss = "mse" if y.dtype == np.float32 else "classes"
    losses = {
        "mse": keras.losses.MeanSquaredError,
        "classes": functools.partial(keras.losses.SparseCategoricalCrossentropy, from_logits=True),
    }
    data = tf.data.Dataset.from_tensor_slices((x, y))
    # Evolution strategies take no second derivatives; through layer normalisation they are inexact.
    exact = not any(isinstance(layer, keras.layers.LayerNormalization) for layer in model.layers)
    return ModelProblem(model, losses[loss](), data, batch_size, second_order=exact)


def _lstm(units):
    """An LSTM of independent draws, which `ModelProblem` can shuffle, ready for any graph."""
    return keras.layers.LSTM(
        units, unroll=True, recurrent_initializer="glorot_uniform", unit_forget_bias=False
    )


def _teacher(seed=0, examples=4000, inputs=8, units=16):
    """Inputs, and what a random network of one hidden layer says to them."""
    rng = np.random.default_rng([7, seed])
    x = rng.normal(size=(examples, inputs))
    hidden = np.tanh(x @ rng.normal(size=(inputs, units)))
    y = hidden @ rng.normal(size=(units, 1)) / units**0.5
    return x.astype(np.float32), y.astype(np.float32)


def _line(examples=2000, inputs=32):
    """Inputs whose deviations go from 0.1 to 3, and a linear function of them with noise."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=(examples, inputs)) * np.geomspace(0.1, 3, inputs)
    y = x @ rng.normal(size=(inputs, 1)) / np.geomspace(0.1, 3, inputs).mean()
    y += 0.3 * rng.normal(size=y.shape)
    return x.astype(np.float32), y.astype(np.float32)


def _first(examples=8000, length=6, symbols=10):
    """Sequences of symbols, int32 `[examples, length]`, and the first of each."""
    x = np.random.default_rng(9).integers(0, symbols, (examples, length))
    return x.astype(np.int32), x[:, 0]


def _pointed_at(examples=8000, length=6):
    """Sequences of numbers, the first of which says at which place the answer stands.

    Returns:
        float32 `[examples, length, length]`, ones where a place has a number; int64 `[examples]`.
    """
    x = np.random.default_rng(10).integers(0, length, (examples, length))
    return np.eye(length, dtype=np.float32)[x], x[np.arange(examples), x[:, 0]]
