"""Any Keras model with a loss and data as a problem."""

import numpy as np
import tensorflow as tf

from meta_keras.arguments import Constant, positive_integer
from meta_keras.errors import SettingError
from meta_keras.functional import FlatNetwork
from meta_keras.problems import draws
from meta_keras.problems.model_checks import check_behaviour, check_declarations, check_element
from meta_keras.problems.model_loss import check_loss, get_loss
from meta_keras.problems.problem import Problem


class ModelProblem(Problem):
    """Training a Keras model on minibatches of a data set.

    Args:
        model: a built `keras.Model` of one input and one output. Every optimization starts from
            its initial weights, see `shuffled`. Batch normalisation uses batch statistics; masks
            are heeded by the loss. Under a mixed policy the parameters and the loss are float32.
        loss: of `(y, model(x))`, as `compile` takes it: a `keras.losses.Loss` that gives one number
            for a batch, a name, or a function, whose mean over the batch is taken.
        data: a finite `tf.data.Dataset` of single examples `(x, y)`, `x` of the model's input
            shape without the batch; it is held in memory.
        batch_size: examples of a minibatch, drawn with replacement.
        second_order: whether second derivatives may be taken, as by
            `OptimizerTrainer(second_order=True)`: see `FlatNetwork`, which refuses layers where
            they would be wrong. Layer and group normalisation need `second_order=False`.

    Raises:
        ValueError: the model is not built or has no weights; it has random layers, state that
            changes as it runs, regularisers, constraints or layers that add losses; second
            derivatives through it would be wrong; the loss does not fit; the data set is empty or
            endless, or its elements are not single examples of the model; `batch_size` is not
            positive, or set when a graph holds it; or (in training) a layer was frozen or thawed
            since.

    Example:

    >>> import keras
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> data = tf.data.Dataset.from_tensor_slices((tf.eye(2), [[1.0], [0.0]]))
    >>> ModelProblem(model, keras.losses.MeanSquaredError(), data, batch_size=4).size
    3
    """

    batch_size = Constant(positive_integer())

    def __init__(self, model, loss, data, batch_size=128, second_order=True):
        self.batch_size = batch_size
        count = int(data.cardinality())
        if count in (0, tf.data.INFINITE_CARDINALITY):
            raise ValueError(f"data must be a finite, non-empty data set, its size is {count}.")
        self.flat = FlatNetwork(model, second_order)
        check_declarations(model)
        check_element(model, next(iter(data), None))
        self.second_order = second_order
        self.size = self.flat.size
        self.variables = model.trainable_variables
        self.loss_fn = get_loss(loss)
        # In large batches: single examples would take minutes.
        columns = zip(*data.batch(4096).as_numpy_iterator(), strict=True)
        self.x, self.y = (tf.constant(np.concatenate(column)) for column in columns)
        few = self.x[:batch_size]
        outputs = check_behaviour(model, few)
        check_loss(self.loss_fn, loss, self.y[:batch_size], outputs)
        self.start = [tf.convert_to_tensor(v) for v in model.trainable_variables]
        self.state = self.flat.state()

    def initial_parameters(self, seed):
        return shuffled(self.start, seed)

    def loss(self, parameters, seed, step):
        chosen = draws.integers([self.batch_size], [seed, step + 1], len(self.x))
        x, y = tf.gather(self.x, chosen), tf.gather(self.y, chosen)
        if [id(v) for v in self.flat.network.trainable_variables] != [
            id(v) for v in self.variables
        ]:
            raise SettingError(
                f"model {self.flat.network.name!r}: layers were frozen or thawed (trainable=...) "
                "after the problem was made; make a new one."
            )
        theta = tf.cast(parameters, self.start[0].dtype)
        outputs, _ = self.flat(theta, self.state, x, training=True)
        return tf.cast(self.loss_fn(y, outputs), parameters.dtype)


def shuffled(weights, seed):
    """The values of every weight in another order, joined to one vector `[P]`.

    For independent, identically distributed initial values within a weight, as of Keras' random
    normal and uniform initializers and Glorot's and He's, that is a fresh draw, and constant ones
    stay what they are. Other weights keep their values but lose what relates them: an orthogonal
    kernel is no longer orthogonal, and an LSTM's bias of `unit_forget_bias` has its ones in other
    gates.

    Args:
        weights: list of tensors or variables.
        seed: int64 scalar.
    """
    parts = []
    for number, weight in enumerate(weights):
        values = tf.reshape(weight, [-1])
        # By sorting, as XLA has no operation that shuffles.
        keys = draws.uniform([values.shape[0]], draws.fold_in([seed, 0], number))
        parts.append(tf.gather(values, tf.argsort(keys)))
    return tf.concat(parts, axis=0)
