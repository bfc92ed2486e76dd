"""MNIST networks, the neural optimizees of Andrychowicz et al. 2016."""

import keras
import tensorflow as tf
import tensorflow_datasets as tfds

from meta_keras.data import prepare
from meta_keras.problems.model import ModelProblem


def mnist_mlp(data_dir=None, units=(20,), activation="sigmoid", batch_size=128):
    """Training a small network on MNIST (section 3.2): cross-entropy on fresh minibatches.

    Args:
        data_dir: TFDS folder; TFDS' own default if None. MNIST is downloaded if it is not there.
        units: widths of the hidden layers.
        activation: of the hidden layers.
        batch_size: examples of a minibatch.

    Returns:
        A `ModelProblem`; with the defaults its size is 15,910. Weights start from N(0, 0.01^2).

    Raises:
        DatasetError: the data cannot be had.
    """
    builder = tfds.builder("mnist:3.0.1", data_dir=data_dir)
    prepare(builder)

    def example(x):
        return tf.reshape(tf.cast(x["image"], tf.float32) / 255.0, [784]), x["label"]

    normal = keras.initializers.RandomNormal(stddev=0.01)

    def layer(width, activation=None):
        return keras.layers.Dense(
            width, activation, kernel_initializer=normal, bias_initializer=normal
        )

    hidden = [layer(width, activation) for width in units]
    model = keras.Sequential([keras.Input((784,)), *hidden, layer(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    data = builder.as_dataset(split="train", shuffle_files=False).map(example, tf.data.AUTOTUNE)
    return ModelProblem(model, loss, data, batch_size)
