"""Stops a run whose loss is not a number before anything bad is saved."""

import math

import keras

from meta_keras.errors import NonFiniteLoss


class StopOnNonFiniteLoss(keras.callbacks.Callback):
    """Raises `NonFiniteLoss` as soon as the loss is not finite, before anything is saved.

    Must stand before `Checkpoint` in the list of callbacks.

    Args:
        updates_per_epoch: to say where it happened.
        begun: updates of the first epoch that were done before.
    """

    def __init__(self, updates_per_epoch, begun=0):
        super().__init__()
        self.updates_per_epoch = updates_per_epoch
        self.begun = begun
        self.done = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.done = epoch * self.updates_per_epoch + self.begun
        self.begun = 0

    def on_train_batch_end(self, batch, logs=None):
        # Keras reports the running mean, which stays non-finite once it is.
        if not math.isfinite(logs["loss"]):
            update = self.done + batch + 1
            raise NonFiniteLoss(f"The loss became {logs['loss']} at update {update}.")

    def on_epoch_end(self, epoch, logs=None):
        # The last update's own damage shows only in the next loss.
        if not math.isfinite(logs.get("val_loss", 0.0)):
            raise NonFiniteLoss(
                f"The validation loss became {logs['val_loss']} after update "
                f"{(epoch + 1) * self.updates_per_epoch}."
            )
