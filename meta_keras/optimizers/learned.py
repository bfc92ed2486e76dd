"""A trained cell as an ordinary Keras optimizer."""

import math
import numbers

import keras
import numpy as np
import tensorflow as tf

from meta_keras.errors import PresetError, SettingError
from meta_keras.layers import Cell, CorrectedAdam, GatedLSTMCell, MetaSGDCell
from meta_keras.optimizers import old_files
from meta_keras.optimizers.memory import warn_of_memory
from meta_keras.optimizers.saved_cell import SavedCell, warn_of_untrained
from meta_keras.optimizers.trainer import OptimizerTrainer
from meta_keras.presets import load_preset, save_preset

UNSUPPORTED = ("clipnorm", "clipvalue", "global_clipnorm", "loss_scale_factor")
# What the graph of a step is made of; Keras would go on with the old one.
COMPILED_IN = (
    "cell",
    "use_ema",
    "ema_momentum",
    "ema_overwrite_frequency",
    "gradient_accumulation_steps",
    "weight_decay",
)


@keras.saving.register_keras_serializable(package="meta_keras")
class LearnedOptimizer(keras.optimizers.Optimizer):
    """Trains a model by the update that a cell has learned.

    All trainable variables of the model are joined to one vector and updated by one call of the
    cell, so every coordinate of the model is a coordinate of the cell (Andrychowicz et al. 2016,
    https://arxiv.org/abs/1606.04474).
    The optimizer's variables are the cell's state and the cell's own weights; both are saved with
    the model. `get_config` holds no weights: they travel in `.keras` files and presets (not in
    `.h5`), and an optimizer that `from_config` makes of it alone has an untrained cell, of which
    it warns.

    Sparse gradients, as of embeddings, are made dense: rows without examples move on by their
    running means, as in every dense variable. A variable without a gradient, frozen or unused,
    stays as it is and so does the state of its coordinates; constraints are applied after the
    step. All that is as in Keras' Adam.

    Memory: the cell's state, in its dtype. For a `CoordinatewiseLSTM` that is 2 sum(units) + 1
    numbers a weight of the model, and two more with the running means of `rnnprop` or `combined`:
    with units (20, 20) 83 numbers, 332 bytes a weight, where Adam keeps 8. A step takes about three
    times as much again for the new state and the LSTM's gates, together 1.3 GB for a million
    weights. A `CorrectedAdam` keeps 20 bytes a weight. Above 1 GiB there is a warning before it is
    taken.

    Under a `tf.distribute` strategy of several replicas gradients are summed, as by Keras'
    optimizers, and all replicas take the same step.

    Args:
        cell: a `meta_keras.layers.Cell` whose weights do not depend on the number of coordinates
            and which does not look at the loss, such as a trained `CoordinatewiseLSTM`.
        learning_rate: factor on the step, theta + rate (theta' - theta), as the cell was trained
            by default: a float, which may be set later and by callbacks, a Keras schedule, or a
            function without arguments.
        name: of the optimizer.
        **kwargs: `use_ema`, `ema_momentum`, `ema_overwrite_frequency`,
            `gradient_accumulation_steps` and `weight_decay` as in every Keras optimizer; the
            latter takes away the share learning_rate * weight_decay of every weight before a step,
            so that with a rate of 1 it must be as small as AdamW's product of the two, about 1e-5;
            it lies in [0, 1).
            Clipping and loss scaling would change the gradients that the cell was trained to read,
            and are refused. (A `LossScaleOptimizer` around this one, as `compile` puts it under the
            policy mixed_float16, gives the gradients back their scale first.)

    Raises:
        SettingError: an unsupported argument was given or set later; what the graph of a step is
            made of was set after training has begun; or the cell is none of those above.

    Example:

    >>> from meta_keras.layers import GradientDescentCell
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(LearnedOptimizer(GradientDescentCell(0.1)), "mse")
    """

    def __init__(self, cell, learning_rate=1.0, name="learned_optimizer", **kwargs):
        for key in kwargs:
            _check_supported(key, kwargs[key])
        if isinstance(learning_rate, numbers.Real):
            learning_rate = float(learning_rate)
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.cell = cell
        self._untrained = None  # the cell's weights, if they are known to be so

    def __setattr__(self, name, value):
        _check_supported(name, value)
        if getattr(self, "built", False) and (
            name in COMPILED_IN or (name == "learning_rate" and callable(value))
        ):
            raise SettingError(
                f"LearnedOptimizer: {name}={value!r} is set too late, training has begun; give it "
                "to a new optimizer."
            )
        if name == "cell":
            _check_cell(value)
            value.build_once()
        super().__setattr__(name, value)

    @classmethod
    def from_preset(cls, preset, steps=None, **kwargs):
        """A trained optimizer.

        Args:
            preset: name of a preset inside the package (`meta_keras.presets.builtin_presets()`),
                or the path of a folder written by `save_to_preset`.
            steps: length of the training in steps (batches), of a preset that heeds it: one of a
                `CorrectedAdam`, whose rate goes down to nothing by then.
            **kwargs: as for the class.

        Raises:
            PresetError: there is no such preset, it is damaged, or holds something else.
            SettingError: `steps` is not positive, or given to a preset that does not heed it.
        """
        model = load_preset(preset)
        if not isinstance(model, (SavedCell, OptimizerTrainer)):
            raise PresetError(
                f"preset={str(preset)!r} holds a {type(model).__name__}, not an optimizer."
            )
        if steps is not None:
            if not isinstance(model.cell, CorrectedAdam):
                raise SettingError(
                    f"steps={steps}: preset={str(preset)!r} heeds no length of a training."
                )
            model.cell.steps = steps
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
            warn_of_memory(self.cell, sum(self._sizes))
            start = self.cell.initial_state(tf.zeros(sum(self._sizes), self.cell.compute_dtype))
            self._structure = start
            self._state = []
            for number, leaf in enumerate(tf.nest.flatten(start)):
                variable = self.add_variable(
                    leaf.shape, dtype=leaf.dtype.name, name=f"state_{number}"
                )
                variable.assign(leaf)
                self._state.append(variable)

    def apply(self, grads, trainable_variables=None):
        # What is sparse, as of an embedding, is made dense: so is the state.
        grads = [tf.convert_to_tensor(g) if isinstance(g, tf.IndexedSlices) else g for g in grads]
        warn_of_untrained(self.cell, self._untrained)
        self._untrained = None
        known = self._trainable_variables if trainable_variables is None else trainable_variables
        super().apply(grads, list(known) or None)

    def _check_variables_are_known(self, variables):
        try:
            super()._check_variables_are_known(variables)
        except ValueError as error:
            raise SettingError(
                "LearnedOptimizer: there are variables that it was not built for (was a layer "
                "thawed, or is it another model?): compile with a new optimizer, or build this one "
                "before freezing, by optimizer.build(model.trainable_variables)."
            ) from error

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        # The state's coordinates are in the order of `build`, whatever the caller's is.
        numbers = [self._get_variable_index(variable) for variable in trainable_variables]
        if self._distribution_strategy.num_replicas_in_sync == 1:
            self._update(grads, numbers, learning_rate)
            return
        summed = self._all_reduce_sum_gradients(zip(grads, numbers, strict=True))
        grads = [gradient for gradient, _ in summed]

        def on_all(strategy, grads, learning_rate):
            if not tf.distribute.in_cross_replica_context():
                self._update(grads, numbers, learning_rate)
                return
            extended = strategy.extended
            values = [variable.value for variable in self._trainable_variables]
            extended.update_non_slot(
                extended.non_slot_devices(values),
                lambda grads, rate: self._update(grads, numbers, rate),
                args=(grads, learning_rate),
                group=False,
            )

        tf.__internal__.distribute.interim.maybe_merge_call(
            on_all, self._distribution_strategy, grads, learning_rate
        )

    def _update(self, grads, numbers, learning_rate):
        """Moves variables, of which `numbers` have gradients, in the context of one device."""
        given = dict(zip(numbers, grads, strict=True))
        variables = self._trainable_variables
        values = [tf.convert_to_tensor(variable) for variable in variables]
        gradients = [given.get(n, tf.zeros_like(value)) for n, value in enumerate(values)]
        before = tf.nest.pack_sequence_as(
            self._structure, [tf.convert_to_tensor(variable) for variable in self._state]
        )
        theta = self._flatten(values)
        self.cell.prepare(variables)  # Another optimizer may have it for others meanwhile.
        after, state = self.cell(self._flatten(gradients), tf.zeros(()), theta, before)
        if len(given) < len(variables):
            moved = np.repeat([n in given for n in range(len(variables))], self._sizes)
            state = self.cell.select(tf.constant(moved), state, before)
        rate = tf.cast(learning_rate, theta.dtype)
        after = tf.where(rate == 1.0, after, theta + rate * (after - theta))
        parts = zip(tf.split(theta, self._sizes), tf.split(after, self._sizes), strict=True)
        for n, (old, new) in enumerate(parts):
            if n in given:
                _move(variables[n], old, new)
        for variable, value in zip(self._state, tf.nest.flatten(state), strict=True):
            variable.assign(value)

    def _flatten(self, tensors):
        dtype = self.cell.compute_dtype
        return tf.concat([tf.reshape(tf.cast(t, dtype), [-1]) for t in tensors], axis=0)

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
        for key in UNSUPPORTED:
            config.pop(key)
        return {**config, "cell": keras.saving.serialize_keras_object(self.cell)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        cell = keras.saving.deserialize_keras_object(config["cell"], custom_objects=custom_objects)
        optimizer = super().from_config({**config, "cell": cell}, custom_objects)
        optimizer._untrained = [variable.numpy() for variable in cell.variables]
        return optimizer


def _check_supported(name, value):
    if name in (*UNSUPPORTED, "decay") and value is not None:
        raise SettingError(
            f"LearnedOptimizer: {name}={value!r} would change the gradients that the cell was "
            "trained to read; leave it out."
        )
    if name == "weight_decay" and value is not None and not 0 <= value < 1:
        raise SettingError(f"LearnedOptimizer: weight_decay={value!r} must be in [0, 1).")


def _check_cell(cell):
    if not isinstance(cell, Cell):
        raise SettingError(f"LearnedOptimizer: cell={cell!r} must be a meta_keras.layers.Cell.")
    if any(isinstance(c, GatedLSTMCell | MetaSGDCell) for c in getattr(cell, "cells", [cell])):
        raise SettingError(
            f"LearnedOptimizer: cell={cell!r} must neither look at the loss, which Keras does not "
            "give to an optimizer, nor have weights for every coordinate."
        )


def _move(variable, old, new):
    """Moves a variable from `old` `[size]` to `new` `[size]`, which are in the cell's dtype."""
    if tf.as_dtype(variable.dtype).size > new.dtype.size:
        # A weight of float64 keeps the digits that a float32 cell has rounded away.
        step = tf.reshape(new - old, variable.shape)
        variable.assign(variable + tf.cast(step, variable.dtype))
    else:
        variable.assign(tf.cast(tf.reshape(new, variable.shape), variable.dtype))
