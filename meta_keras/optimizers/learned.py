"""A trained cell as an ordinary Keras optimizer."""

import math

import keras
import tensorflow as tf

from meta_keras.errors import PresetError, SettingError
from meta_keras.optimizers import old_files
from meta_keras.optimizers.trainer import OptimizerTrainer
from meta_keras.presets import load_preset, save_preset

UNSUPPORTED = (
    "weight_decay",
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "loss_scale_factor",
)


@keras.saving.register_keras_serializable(package="meta_keras")
class SavedCell(keras.Model):
    """A cell's weights as the Keras model that a preset needs, for any number of coordinates.

    Args:
        cell: a `meta_keras.layers.Cell`, as for `LearnedOptimizer`.
    """

    def __init__(self, cell, **kwargs):
        super().__init__(**kwargs)
        cell.build_once()
        self.cell = cell
        self.built = True

    def build(self, input_shape=None):
        """Nothing is left to build."""

    def get_config(self):
        return {**super().get_config(), "cell": keras.saving.serialize_keras_object(self.cell)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "cell": keras.saving.deserialize_keras_object(config["cell"])})


@keras.saving.register_keras_serializable(package="meta_keras")
class LearnedOptimizer(keras.optimizers.Optimizer):
    """Trains a model by the update that a cell has learned.

    All trainable variables of the model are joined to one vector and updated by one call of the
    cell, so every coordinate of the model is a coordinate of the cell (Andrychowicz et al. 2016,
    https://arxiv.org/abs/1606.04474).
    The optimizer's variables are the cell's state and the cell's own weights; both are saved with
    the model. `get_config` holds no weights: they travel in `.keras` files and presets, and an
    optimizer that `from_config` makes of it alone has an untrained cell.

    Memory: the cell's state, in float32. For a `CoordinatewiseLSTM` that is 2 sum(units) + 1
    numbers a weight of the model, and two more with the running means of `rnnprop` or `combined`:
    with units (20, 20) 83 numbers, 332 bytes a weight, where Adam keeps 8. A step needs about as
    much again for the new state, beside the LSTM's gates.

    One replica only: under a `tf.distribute` strategy every replica would move by its own
    gradients.

    Args:
        cell: a `meta_keras.layers.Cell` whose weights do not depend on the number of coordinates
            and which does not look at the loss, such as a trained `CoordinatewiseLSTM`.
        name: of the optimizer.
        **kwargs: `use_ema`, `ema_momentum`, `ema_overwrite_frequency` and
            `gradient_accumulation_steps` as in every Keras optimizer. There is no learning rate;
            it is shown as 1. Clipping, weight decay and loss scaling would change the gradients
            that the cell was trained to read, and are refused.

    Raises:
        SettingError: an unsupported argument was given, or (in training) a gradient is sparse or
            missing, or there are several replicas.

    Example:

    >>> from meta_keras.layers import GradientDescentCell
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(LearnedOptimizer(GradientDescentCell(0.1)), "mse")
    """

    def __init__(self, cell, name="learned_optimizer", **kwargs):
        given = {key: kwargs.pop(key) for key in UNSUPPORTED if key in kwargs}
        for key, value in given.items():
            if value is not None:
                raise SettingError(
                    f"LearnedOptimizer: {key}={value!r} would change the gradients that the cell "
                    "was trained to read; leave it out."
                )
        rate = kwargs.pop("learning_rate", 1.0)
        if rate != 1.0:
            raise SettingError(
                f"LearnedOptimizer: it has no learning rate, got learning_rate={rate!r}."
            )
        super().__init__(learning_rate=1.0, name=name, **kwargs)
        cell.build_once()
        self.cell = cell

    @classmethod
    def from_preset(cls, preset, **kwargs):
        """A trained optimizer.

        Args:
            preset: name of a preset inside the package (`meta_keras.presets.builtin_presets()`),
                or the path of a folder written by `save_to_preset`.
            **kwargs: as for the class.

        Raises:
            PresetError: there is no such preset, it is damaged, or holds something else.
        """
        model = load_preset(preset)
        if not isinstance(model, (SavedCell, OptimizerTrainer)):
            raise PresetError(
                f"preset={str(preset)!r} holds a {type(model).__name__}, not an optimizer."
            )
        return cls(model.cell, **kwargs)

    def save_to_preset(self, path, card=None):
        """Writes the cell to a new folder `path` for `from_preset`; its state is not kept.

        Args:
            path: a folder that does not exist yet or is empty.
            card: JSON-able dict: how the weights were made and what they reach.

        Raises:
            PresetError: `path` exists and is not an empty folder.
        """
        save_preset(SavedCell(self.cell), path, card)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._sizes = [math.prod(variable.shape) for variable in variables]
        self.cell.prepare(variables)
        with tf.init_scope():  # Keras builds inside the graph of the first training step.
            start = self.cell.initial_state(tf.zeros(sum(self._sizes)))
            self._structure = start
            self._state = []
            for number, leaf in enumerate(tf.nest.flatten(start)):
                variable = self.add_variable(leaf.shape, dtype="float32", name=f"state_{number}")
                variable.assign(leaf)
                self._state.append(variable)

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if replicas > 1:
            raise SettingError(
                f"LearnedOptimizer: one replica only, the tf.distribute strategy has {replicas}."
            )
        if len(trainable_variables) != len(self._sizes):
            known = {self._get_variable_index(v) for v in trainable_variables}
            missing = [v.path for i, v in enumerate(self._trainable_variables) if i not in known]
            raise SettingError(f"LearnedOptimizer: there is no gradient for {', '.join(missing)}.")
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            if isinstance(gradient, tf.IndexedSlices):
                raise SettingError(
                    f"LearnedOptimizer: the gradient of {variable.path} is sparse (an embedding?); "
                    "only dense gradients are supported."
                )
        # The state's coordinates are in the order of `build`, whatever the caller's is.
        pairs = sorted(
            zip(grads, trainable_variables, strict=True),
            key=lambda pair: self._get_variable_index(pair[1]),
        )
        grads, trainable_variables = zip(*pairs, strict=True)
        values = [tf.convert_to_tensor(variable) for variable in trainable_variables]
        state = tf.nest.pack_sequence_as(
            self._structure, [tf.convert_to_tensor(variable) for variable in self._state]
        )
        parameters, state = self.cell(_flatten(grads), tf.zeros(()), _flatten(values), state)
        parts = tf.split(parameters, self._sizes)
        for variable, part in zip(trainable_variables, parts, strict=True):
            variable.assign(tf.cast(tf.reshape(part, variable.shape), variable.dtype))
        for variable, value in zip(self._state, tf.nest.flatten(state), strict=True):
            variable.assign(value)

    def save_own_variables(self, store):
        super().save_own_variables(store)
        for number, variable in enumerate(self.cell.variables):
            store[f"cell_{number}"] = variable.numpy()

    def load_own_variables(self, store):
        weights = {key: store[key] for key in store.keys() if key.startswith("cell_")}  # noqa: SIM118
        if len(weights) != len(self.cell.variables):
            raise SettingError(
                f"LearnedOptimizer: the file has {len(weights)} weights for a cell of "
                f"{len(self.cell.variables)}."
            )
        for number, variable in enumerate(self.cell.variables):
            variable.assign(weights[f"cell_{number}"])
        arrays = [store[str(number)] for number in range(len(store.keys()) - len(weights))]
        if len(arrays) > len(self.variables):
            arrays = old_files.without_unused_means(arrays)
        super().load_own_variables({str(number): array for number, array in enumerate(arrays)})

    def get_config(self):
        config = super().get_config()
        for key in (*UNSUPPORTED, "learning_rate"):
            config.pop(key)
        return {**config, "cell": keras.saving.serialize_keras_object(self.cell)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        cell = keras.saving.deserialize_keras_object(config["cell"], custom_objects=custom_objects)
        return cls(**{**config, "cell": cell})


def _flatten(tensors):
    return tf.concat([tf.reshape(tf.cast(t, tf.float32), [-1]) for t in tensors], axis=0)
