"""What TensorBoard shows of the training of a learned optimizer."""

import pathlib

import keras
import tensorflow as tf

from meta_keras import metrics
from meta_keras.optimizers import baselines, loss_curves
from meta_keras.unroll import unroll


class OptimizationSummaries(keras.callbacks.Callback):
    """Writes what TensorBoard shows; the step is the number of updates.

    The meta-loss of training and validation and the loss after the last step; the learned
    optimizer's loss curve beside the baselines', as a picture; and, of one optimization,
    histograms of the updates and of the cell's state over coordinates after 1, 10 and 100 steps.

    Args:
        logdir: path; events go to its folders `train` and `validation`.
        runs: number of optimizations of a validation.
        updates_per_epoch: updates between two validations.
        rates: the baselines' rates, as `baselines.tuned_baselines` gives them.
        picture: function of a table of curves, as `plots.loss_curves_figure` takes it, and the
            horizon, to a picture, uint8 `[height, width, 3]`.
    """

    HISTOGRAM_STEPS = (1, 10, 100)

    def __init__(self, logdir, runs, updates_per_epoch, rates, picture):
        super().__init__()
        self.seeds = baselines.seeds("validation", runs)
        self.updates_per_epoch = updates_per_epoch
        self.rates = rates
        self.picture = picture
        self.writers = {
            name: tf.summary.create_file_writer(str(pathlib.Path(logdir) / name))
            for name in ("train", "validation")
        }

    def on_train_begin(self, logs=None):
        self.steps, self.problem = self.model.horizon, self.model.validation_problem
        self.curves = {}
        for name, row in self.rates.items():
            cell = baselines.BASELINES[name](row["learning_rate"])
            losses = loss_curves(cell, self.problem, self.seeds, self.steps)
            self.curves[name] = _curve(*metrics.mean_and_ci95(losses))

    def on_epoch_end(self, epoch, logs=None):
        curve = self.model.curve
        learned = _curve(curve.result().numpy(), curve.ci95().numpy())
        step = (epoch + 1) * self.updates_per_epoch
        with self.writers["train"].as_default(step=step):
            tf.summary.scalar("meta_loss", logs["loss"])
        with self.writers["validation"].as_default(step=step):
            tf.summary.scalar("meta_loss", logs["val_loss"])
            tf.summary.scalar("final_loss", logs["val_final_loss"])
            picture = self.picture({"learned": learned, **self.curves}, self.steps)
            tf.summary.image("optimizations", picture[None])
            self._write_histograms()
        for writer in self.writers.values():
            writer.flush()

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
        for steps in (steps for steps in self.HISTOGRAM_STEPS if steps <= self.steps):
            while done < steps:
                parameters, state = one_step(parameters, state, tf.constant(done, tf.int64))
                done += 1
            for name, values in cell.observables(state).items():
                tf.summary.histogram(f"{name}/after_{steps:03d}_steps", values)


def _curve(mean, band):
    return {"curve": mean.tolist(), "curve_ci95": band.tolist()}
