"""What a terminal shows of a training."""

import math
import time

import keras
import tqdm

from meta_keras.training import terminal


class Progress(keras.callbacks.Callback):
    """A line per validation, and on a terminal a bar that moves in between.

    Args:
        unit: what is counted.
        total: how many there are in the whole run.
        per_epoch: how many there are between two validations.
        per_update: how many there are in an update.
        begun: updates of the first epoch that were done before.
        stream: where to write; standard output by default.
    """

    def __init__(self, unit, total, per_epoch, per_update, begun=0, stream=None):
        super().__init__()
        self.unit, self.total = unit, total
        self.per_epoch, self.per_update = per_epoch, per_update
        self.begun = begun
        self.stream = stream or terminal.output()
        self.rate = None

    def on_epoch_begin(self, epoch, logs=None):
        self.began = None
        self.bar = tqdm.tqdm(
            total=self.total,
            initial=epoch * self.per_epoch + self.begun * self.per_update,
            unit=f" {self.unit}s",
            file=self.stream,
            disable=not self.stream.isatty(),
            leave=False,
        )
        self.begun = 0

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update(self.per_update)
        self.bar.set_postfix_str(f"loss {logs['loss']:.3f}", refresh=False)
        now = time.monotonic()
        if self.began is None:  # the very first update includes tracing
            self.began = now, batch
            return
        self.rate = (batch - self.began[1]) * self.per_update / max(now - self.began[0], 1e-9)

    def on_epoch_end(self, epoch, logs=None):
        self.bar.close()
        done = (epoch + 1) * self.per_epoch
        terminal.say(self._line(done, logs), stream=self.stream)

    def _line(self, done, logs):
        parts = [
            f"{self.unit} {done:>{len(f'{self.total:,}')},}/{self.total:,}",
            f"loss {logs['loss']:.3f}",
        ]
        if "accuracy" in logs:
            parts.append(f"accuracy {logs['accuracy']:6.1%}")
        if "val_accuracy" in logs:
            parts.append(f"validation {logs['val_accuracy']:6.1%}")
        elif "val_loss" in logs:
            parts.append(f"validation {logs['val_loss']:.4g}")
        if self.rate:
            left = tqdm.tqdm.format_interval(math.ceil((self.total - done) / self.rate))
            parts += [f"{self.rate:.1f} {self.unit}s/s", f"{left} left"]
        return "  ".join(parts)
