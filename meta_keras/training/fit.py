"""The one training: it resumes."""

import contextlib

from meta_keras.training.checkpoint import Checkpoint
from meta_keras.training.guard import StopOnNonFiniteLoss
from meta_keras.training.progress import Progress


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
    scope=contextlib.nullcontext,
    verbose=True,
):
    """Trains or continues to the end, with a checkpoint after every epoch.

    Args:
        folder: the run's folder, a `pathlib.Path`.
        new_model: function from the number of updates of the run to a compiled model.
        batches: function `(start, count)` to the dataset of so many updates from number `start`
            on, each a pure function of its number.
        epochs: number of validations.
        updates: updates between two of them.
        validation: function that makes the validation's dataset.
        callbacks: function that makes the list of further callbacks.
        unit: what is counted for the user, such as `"episode"`.
        units_per_update: how many of them an update takes.
        monitor: what `Checkpoint` takes for best.
        on_resume: function of a model that was loaded, for what is not saved with it.
        scope: function that gives the context models are made in.
        verbose: whether to print what goes on.

    Returns:
        `(model, state)`: the model with the best weights, not compiled, and the last checkpoint's
        state.

    Raises:
        CheckpointError: a checkpoint is damaged.
        NonFiniteLoss: the loss became infinite or not a number.
    """
    per_epoch = updates * units_per_update
    with scope():
        resumed = Checkpoint.resume(folder / "checkpoints", monitor)
        if resumed:
            checkpoint, model = resumed
            if verbose:
                print(f"Continuing after {unit} {checkpoint.state['epoch'] * per_epoch:,}.")
            if on_resume:
                on_resume(model)
        else:
            checkpoint = Checkpoint(folder / "checkpoints", monitor=monitor)
            model = new_model(updates * epochs)
    done = checkpoint.state["epoch"]
    if done < epochs:
        progress = [Progress(unit, epochs * per_epoch, per_epoch, units_per_update)]
        model.fit(
            batches(done * updates, (epochs - done) * updates),
            epochs=epochs,
            initial_epoch=done,
            steps_per_epoch=updates,
            validation_data=validation(),
            callbacks=[
                StopOnNonFiniteLoss(updates),
                *(progress if verbose else []),
                *callbacks(),
                checkpoint,
            ],
            verbose=0,
            shuffle=False,
        )
    return checkpoint.load_best(), checkpoint.state
