"""The one loop of a training on several replicas, of one machine or of many.

Every replica computes the gradient of its share of an update alone; nothing is exchanged within
an inner loop. What they found is added up once, in one vector: gradients, moving statistics and
metrics. Then each process takes the same step of the outer optimizer.

Keras' own `fit` does not run on several workers (https://github.com/keras-team/keras/issues/20601).
"""

import contextlib
import signal
import types

import keras
import numpy as np
import tensorflow as tf


class _Recorder:
    """Stands in for a model's optimizer in a training step: keeps the gradients."""

    def __init__(self, optimizer):
        self.scale_loss = optimizer.scale_loss

    def apply_gradients(self, gradients_and_variables):
        pairs = [(g, v) for g, v in gradients_and_variables if g is not None]
        self.gradients = [tf.convert_to_tensor(gradient) for gradient, _ in pairs]
        self.variables = [variable for _, variable in pairs]


@contextlib.contextmanager
def _recorded(model):
    optimizer, recorder = model.optimizer, _Recorder(model.optimizer)
    # Not by assignment, with which Keras would take it for a part of the model.
    vars(model)["optimizer"] = recorder
    try:
        yield recorder
    finally:
        vars(model)["optimizer"] = optimizer


class Update:
    """An update of a compiled model by all replicas together.

    The model's `train_step` is taken as it is. Losses are to be divided by the replicas of the
    strategy that is at work, as Keras' `compute_loss` divides them: gradients are summed. Moving
    statistics become the mean over the replicas, metrics the sum of what was counted. Of
    `model.carried`, a list of variables if there is one, every replica has an equal share, in
    turn, for which its `train_step` takes the first of them.

    Args:
        model: compiled and built, its metrics, too.
        replicas: `Replicas`.

    Attributes:
        carried: what replicas carry on: a list of one list of tensors a local replica.
    """

    def __init__(self, model, replicas):
        self.model, self.replicas = model, replicas
        self.kept = list(getattr(model, "carried", []))
        size = len(self.kept) // replicas.count
        self.own = self.kept[:size]
        known = {id(variable) for variable in self.kept}
        self.statistics = [
            variable
            for variable in model.non_trainable_variables
            if id(variable) not in known and "float" in variable.dtype
        ]
        first = replicas.worker * replicas.local
        self.carried = [
            [tf.convert_to_tensor(v) for v in self.kept[number * size : (number + 1) * size]]
            for number in range(first, first + replicas.local)
        ]
        self._function = tf.function(self._update, autograph=False)

    def __call__(self, batches, stop):
        """Makes an update.

        Args:
            batches: iterator of batches, of which each local replica takes one.
            stop: whether this worker wants to stop.

        Returns:
            `(logs, stopping)`: what Keras would report, floats, and whether any worker wants to
            stop.

        Raises:
            WorkerLost: another worker has ended.
        """
        mine = [
            (next(batches), carried, tf.constant(float(stop and not number)))
            for number, carried in enumerate(self.carried)
        ]
        with self.replicas.together():
            logs, self.carried, stopping = self._function(self.replicas.per_replica(mine))
            logs = {name: float(value) for name, value in logs.items()}
            return logs, bool(stopping > 0)

    def keep(self):
        """Brings what all replicas carry on into the model's variables, to be saved."""
        if not self.own:
            return
        size = sum(int(np.prod(variable.shape)) for variable in self.own)
        rows = np.zeros([self.replicas.local, self.replicas.count, size])
        for number, values in enumerate(self.carried):
            row = np.concatenate([value.numpy().ravel() for value in values])
            rows[number, self.replicas.worker * self.replicas.local + number] = row
        _assign(self.kept, self.replicas.totals(list(rows.reshape(len(rows), -1))))

    def _replica(self, given):
        data, carried, stop = given
        model, metrics = self.model, self.model.metrics_variables
        begin = [(variable, tf.zeros(variable.shape, variable.dtype)) for variable in metrics]
        begin += zip(self.own, carried, strict=True)
        with keras.StatelessScope(begin) as scope, _recorded(model) as recorder:
            self._names = list(model.train_step(data))

        def left(variable):
            value = scope.get_current_value(variable)
            return tf.convert_to_tensor(variable) if value is None else value

        self._variables = recorder.variables
        statistics = [left(v) / self.replicas.count for v in self.statistics]
        parts = [*recorder.gradients, *statistics, *map(left, metrics), stop]
        dtype = tf.float64 if any(part.dtype == tf.float64 for part in parts) else tf.float32
        vector = tf.concat([tf.reshape(tf.cast(part, dtype), [-1]) for part in parts], axis=0)
        context = tf.distribute.get_replica_context()
        total = context.all_reduce(tf.distribute.ReduceOp.SUM, vector)
        return total, [left(variable) for variable in self.own]

    def _update(self, given):
        strategy, model = self.replicas.strategy, self.model
        results = strategy.experimental_local_results(strategy.run(self._replica, args=(given,)))
        targets = [*self._variables, *self.statistics, *model.metrics_variables]
        sizes = [int(np.prod(variable.shape)) for variable in targets]
        *parts, stopping = tf.split(results[0][0], [*sizes, 1])
        values = [
            tf.cast(tf.reshape(part, variable.shape), variable.dtype)
            for part, variable in zip(parts, targets, strict=True)
        ]
        count = len(self._variables)
        model.optimizer.apply_gradients(zip(values[:count], self._variables, strict=True))
        for variable, value in zip(self.statistics, values[count:], strict=False):
            variable.assign(value)
        for variable, value in zip(
            model.metrics_variables, values[count + len(self.statistics) :], strict=True
        ):
            variable.assign_add(value)
        logs = model.get_metrics_result()
        logs = {name: logs[name] for name in self._names}
        return logs, [carried for _, carried in results], stopping[0]


def share_state(model, replicas, state):
    """Gives all workers the chief's weights, optimizer and place in the run.

    Args:
        model: compiled; its optimizer is built here if it is not.
        replicas: `Replicas`.
        state: of the chief's checkpoint; in the others changed in place.
    """
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables]
    place = [state["epoch"], state.get("updates", 0)]
    values = [np.asarray(variable).astype("float64").ravel() for variable in variables]
    vector = replicas.from_chief(np.concatenate([place, *values]))
    if replicas.is_chief:
        return
    state.update(epoch=int(vector[0]))
    if vector[1]:
        state.update(updates=int(vector[1]))
    _assign(variables, vector[2:])


def _assign(variables, vector):
    """Gives variables the values that stand one after the other in a NumPy vector."""
    ends = np.cumsum([int(np.prod(variable.shape)) for variable in variables])[:-1]
    for variable, value in zip(variables, np.split(vector, ends), strict=True):
        variable.assign(value.reshape(variable.shape).astype(variable.dtype))


def train(replicas, signals, agreed, model, state, batches, epochs, updates, validation, callbacks):
    """Trains from where a checkpoint's state is to the end; the loop of Keras' `fit`.

    All workers stop after the same update. Each validates on everything, on its first device.

    Args:
        replicas: `Replicas`.
        signals: `Signals`, what has come to this worker.
        agreed: what all go by, with the attribute `received` like `signals`.
        model: compiled, the same in all workers.
        state: of the checkpoint.
        batches, epochs, updates, validation: as for `meta_keras.training.fit.fit`; the batches are
            those of this worker, of which each local replica takes one an update.
        callbacks: list of Keras callbacks.
    """
    model.evaluate(validation(1), verbose=0)  # Makes the metrics' variables.
    update = Update(model, replicas)
    done, begun = state["epoch"], state.get("updates", 0)
    logs = state.get("logs", {})
    work = iter(batches(done * updates + begun, (epochs - done) * updates - begun))
    every = keras.callbacks.CallbackList(callbacks, model=model)
    every.on_train_begin()
    for epoch in range(done, epochs):
        model.reset_metrics()
        every.on_epoch_begin(epoch)
        for number in range(updates - begun):
            logs, stopping = update(work, signals.received is not None)
            if stopping:
                agreed.received = signals.received = signals.received or signal.SIGTERM
                update.keep()
            every.on_train_batch_end(number, logs)
        update.keep()
        found = model.evaluate(validation(None), callbacks=every, return_dict=True, verbose=0)
        found = {f"val_{name}": value for name, value in found.items()}
        every.on_epoch_end(epoch, {**logs, **found})
        begun = 0
    every.on_train_end()


class Follower:
    """What a worker that is not the chief has in place of a `Checkpoint`: it saves nothing."""

    def __init__(self, new):
        self.state = dict(new)

    def save_within(self, updates, logs):
        pass


def agreement():
    """What all workers go by in place of their own `Signals`."""
    return types.SimpleNamespace(received=None)
