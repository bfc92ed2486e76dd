"""What TensorBoard shows of the training of a learned optimizer."""

import pathlib

import keras
import numpy as np
import tensorflow as tf

from meta_keras.optimizers.trainer import loss_curves
from meta_keras.unroll import unroll


class OptimizationSummaries(keras.callbacks.Callback):
    """Validates after every epoch, on the same fresh optimizations, and writes what it sees.

    Puts the mean loss along the optimizations into Keras' logs as `val_loss`. For TensorBoard, with
    the number of updates as the step: the meta-loss of training and validation and the loss after
    the last step; the learned optimizer's loss curve beside the baselines', as a picture; and, of
    one optimization, histograms of the updates and of the cell's state over coordinates after 1,
    10 and 100 steps.

    Args:
        logdir: path; events go to its folders `train` and `validation`.
        problem: a `Problem`.
        seeds: the validation's optimizations.
        steps: their length.
        updates_per_epoch: updates between two validations.
        baselines: dict from a name to a cell with a fixed rate.
    """

    HISTOGRAM_STEPS = (1, 10, 100)

    def __init__(self, logdir, problem, seeds, steps, updates_per_epoch, baselines):
        super().__init__()
        self.problem = problem
        self.seeds = seeds
        self.steps = steps
        self.updates_per_epoch = updates_per_epoch
        self.baselines = baselines
        self.writers = {
            name: tf.summary.create_file_writer(str(pathlib.Path(logdir) / name))
            for name in ("train", "validation")
        }

    def on_train_begin(self, logs=None):
        self._curves = {name: self._curve(cell)[1] for name, cell in self.baselines.items()}

    def _curve(self, cell):
        curves = loss_curves(cell, self.problem, self.seeds, self.steps)
        band = 1.96 * curves.std(axis=0, ddof=1) / np.sqrt(len(curves))
        return curves, {"curve": curves.mean(axis=0).tolist(), "curve_ci95": band.tolist()}

    def on_epoch_end(self, epoch, logs=None):
        curves, learned = self._curve(self.model.cell)
        weights = self.model.loss_weights and self.model.loss_weights[: self.steps]
        logs["val_loss"] = float(np.average(curves[:, 1:].mean(axis=0), weights=weights))
        step = (epoch + 1) * self.updates_per_epoch
        with self.writers["train"].as_default(step=step):
            tf.summary.scalar("meta_loss", logs["loss"])
        with self.writers["validation"].as_default(step=step):
            tf.summary.scalar("meta_loss", logs["val_loss"])
            tf.summary.scalar("final_loss", curves[:, -1].mean())
            from meta_keras import plots as pictures  # loads matplotlib

            figure = pictures.loss_curves_figure({"learned": learned, **self._curves}, self.steps)
            tf.summary.image("optimizations", pictures.figure_pixels(figure)[None])
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
