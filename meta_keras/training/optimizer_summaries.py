"""What TensorBoard shows of the training of a learned optimizer."""

import tensorflow as tf

from meta_keras.metrics import mean_and_ci95
from meta_keras.optimizers import loss_curves
from meta_keras.training.summaries import Summaries
from meta_keras.unroll import unroll


class OptimizationSummaries(Summaries):
    """Writes what the validation after every epoch of an `OptimizerTrainer` has seen.

    For TensorBoard, with the number of updates as the step: the meta-loss of training and
    validation and the loss after the last step; the learned optimizer's loss curve beside the
    baselines', as a picture; and, of one optimization, histograms of the updates and of the cell's
    state over coordinates after 1, 10 and 100 steps. `fit` must have `validation_data`.

    Args:
        logdir: path; events go to its folders `train` and `validation`.
        problem: the `Problem` of the validation.
        seeds: the validation's optimizations; the baselines run them once.
        updates_per_epoch: updates between two validations.
        baselines: dict from a name to a cell with a fixed rate.
        draw: function `(optimizers, horizon)` to a picture, uint8 `[height, width, 3]`.
            `optimizers`: dict from a name, `"learned"` first, to a dict of `curve` and
            `curve_ci95`, lists of `horizon + 1` numbers.
    """

    HISTOGRAM_STEPS = (1, 10, 100)

    def __init__(self, logdir, problem, seeds, updates_per_epoch, baselines, draw):
        super().__init__(logdir)
        self.problem = problem
        self.seeds = seeds
        self.updates_per_epoch = updates_per_epoch
        self.baselines = baselines
        self.draw = draw
        self._curves = None

    def on_train_begin(self, logs=None):
        if self._curves is not None:  # Keras' fit is called a second time.
            return
        self._curves = {
            name: _curve(
                *mean_and_ci95(loss_curves(cell, self.problem, self.seeds, self.model.horizon))
            )
            for name, cell in self.baselines.items()
        }

    def on_epoch_end(self, epoch, logs=None):
        learned = _curve(self.model.curve.mean, self.model.curve.ci95)
        step = (epoch + 1) * self.updates_per_epoch
        with self.writers["train"].as_default(step=step):
            tf.summary.scalar("meta_loss", logs["loss"])
        with self.writers["validation"].as_default(step=step):
            tf.summary.scalar("meta_loss", logs["val_loss"])
            tf.summary.scalar("final_loss", logs["val_final_loss"])
            picture = self.draw({"learned": learned, **self._curves}, self.model.horizon)
            tf.summary.image("optimizations", picture[None])
            self._write_histograms()
        self.flush()

    def _write_histograms(self):
        cell, seed = self.model.cell, tf.constant(self.seeds[0], tf.int64)

        @tf.function
        def one_step(parameters, state, step):
            def loss_fn(theta, _, carry):
                return self.problem.loss(theta, seed, step), carry

            return unroll(cell, loss_fn, parameters, 1, state=state)[:2]

        parameters = self.problem.initial_parameters(seed)
        state, done = cell.initial_state(parameters), 0
        one_step = one_step.get_concrete_function(parameters, state, seed)
        for steps in (steps for steps in self.HISTOGRAM_STEPS if steps <= self.model.horizon):
            while done < steps:
                parameters, state = one_step(parameters, state, tf.constant(done, tf.int64))
                done += 1
            for name, values in cell.observables(state).items():
                tf.summary.histogram(f"{name}/after_{steps:03d}_steps", values)


class TaskSummaries(Summaries):
    """Writes how a `TaskSetTrainer` does on every validation task, for TensorBoard.

    The step is the number of updates; of the training: the loss, and how many optimizations were
    dropped.

    Args:
        logdir: path; events go to its folders `train` and `validation`.
        names: of the validation tasks.
        updates_per_epoch: updates between two validations.
    """

    def __init__(self, logdir, names, updates_per_epoch):
        super().__init__(logdir)
        self.names = list(names)
        self.updates_per_epoch = updates_per_epoch

    def on_epoch_end(self, epoch, logs=None):
        step = (epoch + 1) * self.updates_per_epoch
        with self.writers["train"].as_default(step=step):
            tf.summary.scalar("meta_loss", logs["loss"])
            tf.summary.scalar("dropped", logs["dropped"])
        with self.writers["validation"].as_default(step=step):
            tf.summary.scalar("meta_loss", logs["val_loss"])
            for number, name in enumerate(self.names):
                tf.summary.scalar(f"task/{name}", logs[f"val_task_{number}"])
        self.flush()


def _curve(mean, ci95):
    return {"curve": mean.tolist(), "curve_ci95": ci95.tolist()}
