"""The one training: it resumes."""

import contextlib

import keras

from meta_keras.errors import CheckpointError
from meta_keras.training import replicated
from meta_keras.training.checkpoint import Checkpoint
from meta_keras.training.guard import StopOnNonFiniteLoss
from meta_keras.training.progress import Progress
from meta_keras.training.stopping import Signals, StopOnSignal, Stopped
from meta_keras.training.terminal import say


def fit(
    folder,
    new_model,
    batches,
    *,
    epochs,
    updates,
    validation,
    callbacks,
    unit,
    units_per_update=1,
    monitor="val_accuracy",
    on_resume=None,
    replicas=None,
    verbose=True,
):
    """Trains or continues to the end, with a checkpoint after every epoch.

    A signal to end (SIGTERM, SIGINT, SIGHUP) is followed after the running update and another
    checkpoint, from which the run goes on as if nothing had happened.

    Args:
        folder: the run's folder, a `pathlib.Path`; only the chief of several workers needs it.
        new_model: function from the number of updates of the run to a compiled model.
        batches: function `(start, count)` to the dataset of so many updates from number `start`
            on, each a pure function of its number; with `replicas` this worker's share.
        epochs: number of validations.
        updates: updates between two of them.
        validation: function of a number of batches, None for all, to the validation's dataset.
        callbacks: function that makes the list of further callbacks.
        unit: what is counted for the user, such as `"episode"`.
        units_per_update: how many of them an update takes.
        monitor: what `Checkpoint` takes for best.
        on_resume: function of a model that was loaded, for what is not saved with it.
        replicas: `Replicas`, if an update is made by several.
        verbose: whether to print what goes on.

    Returns:
        `(model, state)`: the model with the best weights, not compiled, and the last checkpoint's
        state. In a worker that is not the chief the model is None.

    Raises:
        CheckpointError: a checkpoint is damaged.
        NonFiniteLoss: the loss became infinite or not a number.
        RunStopped: a signal came that does nothing else.
        WorkerLost: another worker has ended.
    """
    is_chief = replicas is None or replicas.is_chief
    verbose = verbose and is_chief

    def so_far(state):
        """How far a run has come, in words."""
        return f"{unit} {_updates_done(state, updates) * units_per_update:,}"

    resumed = Checkpoint.resume(folder / "checkpoints", monitor) if is_chief else None
    if resumed:
        checkpoint, model = resumed
        _check_belongs(checkpoint, epochs, updates)
        if verbose:
            say(f"Continuing after {so_far(checkpoint.state)}.")
        if on_resume:
            on_resume(model)
    else:
        new = Checkpoint(folder / "checkpoints", monitor=monitor) if is_chief else None
        checkpoint = new or replicated.Follower(Checkpoint.NEW)
        model = new_model(updates * epochs)
    if replicas:
        replicated.share_state(model, replicas, checkpoint.state)
    if checkpoint.state["epoch"] < epochs:
        begun = checkpoint.state.get("updates", 0)
        per_epoch = updates * units_per_update
        progress = Progress(unit, epochs * per_epoch, per_epoch, units_per_update, begun)
        signals = Signals(verbose)
        agreed = replicated.agreement() if replicas else signals
        with contextlib.suppress(Stopped), signals:
            every = [
                StopOnNonFiniteLoss(updates, begun),
                *([progress] if verbose else []),
                *([*callbacks(), checkpoint] if is_chief else []),
                StopOnSignal(agreed, checkpoint, begun, checkpoint.state.get("logs")),
            ]
            work = model, checkpoint.state, batches, epochs, updates, validation, every
            if replicas:
                replicated.train(replicas, signals, agreed, *work)
            else:
                _train(*work)
        if signals.received is not None:
            if verbose:
                done = so_far(checkpoint.state)
                say(
                    f"Stopped after {done}, which is saved; the same command or call goes on there."
                )
            signals.follow()
    return checkpoint.load_best() if is_chief else None, checkpoint.state


def _updates_done(state, updates):
    return state["epoch"] * updates + state.get("updates", 0)


def _check_belongs(checkpoint, epochs, updates):
    state = checkpoint.state
    if _updates_done(state, updates) > epochs * updates or state.get("updates", 0) > updates:
        raise CheckpointError(
            f"The checkpoints in {checkpoint.folder} are not of this run, which has {epochs} "
            f"validations of {updates} updates each. Name another `logdir`."
        )


def _train(model, state, batches, epochs, updates, validation, callbacks):
    """Trains to the end; an epoch that was begun is ended first, as if it had not been left."""
    done, begun = state["epoch"], state.get("updates", 0)
    if begun == updates:
        _end_epoch(model, state, validation(None), callbacks)
    elif begun:
        # Makes the metrics' variables, whose values the checkpoint then restores.
        model.evaluate(validation(1), verbose=0)
        start = done * updates + begun
        _fit(model, batches, start, (done, done + 1), updates - begun, validation, callbacks)
    done += bool(begun)
    if done < epochs:
        _fit(model, batches, done * updates, (done, epochs), updates, validation, callbacks)


def _fit(model, batches, start, epochs, updates, validation, callbacks):
    """Epochs `first ... end - 1` of so many updates each, from update number `start` on."""
    first, end = epochs
    model.fit(
        batches(start, (end - first) * updates),
        epochs=end,
        initial_epoch=first,
        steps_per_epoch=updates,
        validation_data=validation(None),
        callbacks=callbacks,
        verbose=0,
        shuffle=False,
    )


def _end_epoch(model, state, validation, callbacks):
    """What Keras does after the last update of an epoch."""
    epoch, logs = state["epoch"], state["logs"]
    state.pop("metrics")  # What they came to are the logs.
    callbacks = keras.callbacks.CallbackList(callbacks, model=model)
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(epoch)
    found = model.evaluate(validation, callbacks=callbacks, return_dict=True, verbose=0)
    found = {f"val_{name}": value for name, value in found.items()}
    callbacks.on_epoch_end(epoch, {**logs, **found})
    callbacks.on_train_end()
