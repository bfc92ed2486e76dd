"""MNIST networks, neural optimizees."""

import functools

import keras
import numpy as np
import tensorflow as tf

from meta_keras.data.preparation import naming_damage, opened, prepare
from meta_keras.problems.model import ModelProblem


@functools.lru_cache(maxsize=1)
def _pictures(data_dir):
    """uint8 `[60000, 784]` pictures and their labels, decoded once for all problems."""
    import tensorflow_datasets as tfds

    builder = opened("mnist", lambda folder: tfds.builder("mnist:3.0.1", data_dir=folder), data_dir)
    prepare(builder)
    with naming_damage(builder):
        data = builder.as_dataset(split="train", shuffle_files=False, as_supervised=True)
        pictures, labels = zip(*data.batch(4096).as_numpy_iterator(), strict=True)
    return np.concatenate(pictures).reshape(-1, 784), np.concatenate(labels)


def mnist_mlp(data_dir=None, units=(20,), activation="sigmoid", batch_size=128):
    """Training a small network on MNIST: cross-entropy on fresh minibatches.

    Andrychowicz et al. 2016, section 3.2, https://arxiv.org/abs/1606.04474

    Args:
        data_dir: TFDS folder; TFDS' own default if None. MNIST is downloaded if it is not there.
        units: widths of the hidden layers.
        activation: of the hidden layers.
        batch_size: examples of a minibatch.

    Returns:
        A `ModelProblem`; with the defaults its size is 15,910. Weights start from N(0, 0.01^2).

    Raises:
        DatasetError: the data cannot be had, or are damaged.
    """
    pictures, labels = _pictures(data_dir)
    normal = keras.initializers.RandomNormal(stddev=0.01)

    def layer(width, activation=None):
        return keras.layers.Dense(
            width, activation, kernel_initializer=normal, bias_initializer=normal
        )

    hidden = [layer(width, activation) for width in units]
    model = keras.Sequential([keras.Input((784,)), *hidden, layer(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    data = tf.data.Dataset.from_tensor_slices((pictures, labels))
    data = data.map(lambda x, y: (tf.cast(x, tf.float32) / 255.0, y))
    return ModelProblem(model, loss, data, batch_size)
