"""Any Keras model with a loss and data as a problem."""

import numpy as np
import tensorflow as tf

from meta_keras.functional import FlatNetwork
from meta_keras.problems.problem import Problem


class ModelProblem(Problem):
    """Training a Keras model on minibatches of a data set.

    Args:
        model: a built `keras.Model`. Every optimization starts from its initial weights,
            see `shuffled`. Batch normalisation uses
            batch statistics.
        loss: a `keras.losses.Loss` of `(y, model(x))`.
        data: a finite `tf.data.Dataset` of single examples `(x, y)`; it is held in memory.
        batch_size: examples of a minibatch, drawn with replacement.

    Raises:
        ValueError: the model is not built or has no weights, the data set is empty or endless, or
            `batch_size` is not positive.

    Example:

    >>> import keras
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> data = tf.data.Dataset.from_tensor_slices((tf.eye(2), [[1.0], [0.0]]))
    >>> ModelProblem(model, keras.losses.MeanSquaredError(), data, batch_size=4).size
    3
    """

    def __init__(self, model, loss, data, batch_size=128):
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got batch_size={batch_size}.")
        count = int(data.cardinality())
        if count in (0, tf.data.INFINITE_CARDINALITY):
            raise ValueError(f"data must be a finite, non-empty data set, its size is {count}.")
        self.flat = FlatNetwork(model, second_order=True)
        self.size = self.flat.size
        self.variables = model.trainable_variables
        self.loss_fn = loss
        self.batch_size = batch_size
        # In large batches: single examples would take minutes.
        columns = zip(*data.batch(4096).as_numpy_iterator(), strict=True)
        self.x, self.y = (tf.constant(np.concatenate(column)) for column in columns)
        self.start = [tf.convert_to_tensor(v) for v in model.trainable_variables]
        self.state = self.flat.state()

    def initial_parameters(self, seed):
        return shuffled(self.start, seed)

    def loss(self, parameters, seed, step):
        chosen = tf.random.stateless_uniform(
            [self.batch_size], [seed, step + 1], maxval=len(self.x), dtype=tf.int32
        )
        x, y = tf.gather(self.x, chosen), tf.gather(self.y, chosen)
        outputs, _ = self.flat(parameters, self.state, x, training=True)
        return self.loss_fn(y, outputs)


def shuffled(weights, seed):
    """The values of every weight in another order, joined to one vector `[P]`.

    For independent, identically distributed initial values, which is what Keras' initializers
    give, that is a fresh draw.

    Args:
        weights: list of tensors or variables.
        seed: int64 scalar.
    """
    parts = [
        tf.random.experimental.stateless_shuffle(
            tf.reshape(weight, [-1]), tf.random.fold_in([seed, 0], number)
        )
        for number, weight in enumerate(weights)
    ]
    return tf.concat(parts, axis=0)
