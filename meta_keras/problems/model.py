"""Any Keras model with a loss and data as a problem."""

import numpy as np
import tensorflow as tf

from meta_keras.batch_norm import all_layers
from meta_keras.functional import FlatNetwork, has_random_state
from meta_keras.problems.problem import Problem


class ModelProblem(Problem):
    """Training a Keras model on minibatches of a data set.

    Args:
        model: a built `keras.Model` of one input. Every optimization starts from its initial
            weights, see `shuffled`. Batch normalisation uses batch statistics.
        loss: a `keras.losses.Loss` of `(y, model(x))`; what layers add by `add_loss` is left out.
        data: a finite `tf.data.Dataset` of single examples `(x, y)`, `x` of the model's input
            shape without the batch; it is held in memory.
        batch_size: examples of a minibatch, drawn with replacement.
        second_order: whether second derivatives may be taken, as by
            `OptimizerTrainer(second_order=True)`: see `FlatNetwork`, which refuses layers where
            they would be wrong. Layer and group normalisation need `second_order=False`.

    Raises:
        ValueError: the model is not built or has no weights, has random state (dropout) or
            regularisers, or second derivatives through it would be wrong; the data set is empty
            or endless, or its elements are not single examples of the model; or `batch_size` is
            not positive.

    Example:

    >>> import keras
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> data = tf.data.Dataset.from_tensor_slices((tf.eye(2), [[1.0], [0.0]]))
    >>> ModelProblem(model, keras.losses.MeanSquaredError(), data, batch_size=4).size
    3
    """

    def __init__(self, model, loss, data, batch_size=128, second_order=True):
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got batch_size={batch_size}.")
        count = int(data.cardinality())
        if count in (0, tf.data.INFINITE_CARDINALITY):
            raise ValueError(f"data must be a finite, non-empty data set, its size is {count}.")
        self.flat = FlatNetwork(model, second_order)
        _check_model(model)
        _check_element(model, next(iter(data), None))
        self.second_order = second_order
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


def _check_model(model):
    """Refuses what `FlatNetwork` would drop or freeze without a word."""
    if has_random_state(model):
        raise ValueError(
            f"model {model.name!r} has layers with random state (dropout): it would be the same "
            "at every step; leave them out."
        )
    regular = [v.path for v in model.trainable_variables if getattr(v, "regularizer", None)]
    regular += [
        layer.name for layer in all_layers(model) if getattr(layer, "activity_regularizer", None)
    ]
    if regular:
        raise ValueError(
            f"model {model.name!r} has regularisers ({', '.join(regular)}), which the problem's "
            "loss would not contain; leave them out."
        )


def _check_element(model, element):
    if not isinstance(element, tuple) or len(element) != 2:
        raise ValueError(
            f"data must have elements (x, y), its first is a {type(element).__name__}"
            f"{f' of {len(element)}' if isinstance(element, tuple) else ''}."
        )
    expected = getattr(model, "input_shape", None)  # subclassed models have none
    if not isinstance(expected, tuple) or isinstance(expected[0], tuple):
        return
    shape = tuple(np.shape(element[0]))
    if not tf.TensorShape(shape).is_compatible_with(expected[1:]):
        raise ValueError(
            f"data must have single examples (x, y), x of the model's input shape {expected[1:]}; "
            f"its first x has the shape {shape}. Is it batched? data.unbatch() undoes that."
        )


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
        keys = tf.random.stateless_uniform([values.shape[0]], tf.random.fold_in([seed, 0], number))
        parts.append(tf.gather(values, tf.argsort(keys)))
    return tf.concat(parts, axis=0)
