"""Keras optimizers side by side on what users train: the same starts, the same minibatches."""

import functools
import math

import keras
import numpy as np
import tensorflow as tf

RATES = tuple(float(f"{d}e{e}") for e in (-5, -4, -3, -2, -1) for d in (1, 2, 5)) + (1.0,)
LAST = 20  # The training loss at the end is the mean over the last twentieth of the steps.


class Course:
    """Trainings of a task's network by one optimizer, all by one graph.

    Args:
        task: a `problems.HeldOutTask`.
        optimizer: a `keras.optimizers.Optimizer`, not built.
        steps: of a training.
    """

    def __init__(self, task, optimizer, steps):
        self.task, self.steps = task, steps
        self.model = task.make_model()
        self.optimizer = optimizer
        optimizer.build(self.model.trainable_variables)
        self.fresh = [np.array(variable) for variable in optimizer.variables]
        self.data = [tf.convert_to_tensor(part) for part in task.train]
        # Partial: methods, which share their code, would be taken for one traced too often.
        self.train = tf.function(functools.partial(Course._train, self), autograph=False)
        self.look = tf.function(functools.partial(Course._look, self), autograph=False)

    def _train(self, seed):
        variables = self.model.trainable_variables

        def one_step(step, losses):
            chosen = tf.random.stateless_uniform(
                [self.task.batch_size], [seed, step], maxval=len(self.data[0]), dtype=tf.int32
            )
            x, y = (tf.gather(part, chosen) for part in self.data)
            with tf.GradientTape() as tape:
                loss = self.task.loss(y, self.model(x, training=True))
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            return step + 1, losses.write(step, loss)

        losses = tf.TensorArray(tf.float32, self.steps)
        _, losses = tf.while_loop(lambda step, _: step < self.steps, one_step, (0, losses))
        return losses.stack()

    def _look(self, x, y):
        outputs = self.model(x, training=False)
        found = [self.task.loss(y, outputs)]
        if self.task.classifies:
            found.append(tf.reduce_mean(tf.cast(tf.argmax(outputs, -1) == y, tf.float32)))
        return found

    def run(self, weights, seed, rate=None):
        """One training.

        Args:
            weights: what the network begins with, as its `get_weights` gives them.
            seed: int, of the minibatches.
            rate: learning rate of the optimizer; its own if None.

        Returns:
            The losses of the steps before they are taken, float32 `[steps]`.
        """
        self.model.set_weights(weights)
        for variable, value in zip(self.optimizer.variables, self.fresh, strict=True):
            variable.assign(value)
        if rate is not None:
            set_rate(self.optimizer, rate)
        return self.train(tf.constant(seed)).numpy()

    def held_out(self):
        """`(loss, accuracy)` on the held-out part, as the network is now; None of a regression."""
        loss, *accuracy = (float(value) for value in self.look(*self.task.held_out))
        return loss, accuracy[0] if accuracy else None


class CosineDecay(keras.optimizers.schedules.CosineDecay):
    """Keras' schedule, whose first rate may be set when a graph holds it."""

    def __init__(self, steps):
        self.rate = tf.Variable(1e-3)
        super().__init__(self.rate, steps)


def set_rate(optimizer, rate):
    """Sets the learning rate of an optimizer, or the first one of its `CosineDecay`."""
    schedule = optimizer._learning_rate
    (schedule.rate if isinstance(schedule, CosineDecay) else schedule).assign(rate)


BASELINES = {  # name: (function of the steps to the optimizer, the first of RATES to try)
    "Adam": (lambda steps: keras.optimizers.Adam(), (1e-3, 2e-2)),
    "AdamW": (lambda steps: keras.optimizers.AdamW(), (1e-3, 2e-2)),
    "Nesterov": (
        lambda steps: keras.optimizers.SGD(momentum=0.9, nesterov=True),
        (2e-2, 0.5),
    ),
    "Adam, cosine": (lambda steps: keras.optimizers.Adam(CosineDecay(steps)), (1e-3, 2e-2)),
    "Adam, default": (lambda steps: keras.optimizers.Adam(), None),
}


def starts(task, seeds):
    """Initial weights of the task's network for every seed, a list of lists of arrays."""
    found = []
    for seed in seeds:
        keras.utils.set_random_seed(seed)
        found.append(task.make_model().get_weights())
    return found


def end_of(losses):
    """The mean of the last twentieth of losses `[..., steps]`; infinite where not finite."""
    steps = losses.shape[-1]
    ends = np.mean(losses[..., -max(1, math.ceil(steps / LAST)) :], axis=-1, dtype=np.float64)
    return np.where(np.isfinite(ends), ends, np.inf)


def decays(make):
    """Whether the optimizers that a function of the steps makes depend on them."""
    return isinstance(make(1)._learning_rate, CosineDecay)


def tuned_rates(task, make, interval, steps, seeds, ends):
    """The rates of `RATES` with the best training loss at the end, over a few trainings.

    Those of an interval are tried, and further ones as long as the best is the first or the last.

    Args:
        task: a `problems.HeldOutTask`.
        make: function of the steps to an optimizer.
        interval: the first and the last rate to begin with.
        steps: of a training.
        seeds: of the trainings.
        ends: after how many steps it might end, a list of ints; of an optimizer whose rate decays
            `[steps]` alone.

    Returns:
        Dict from an end to `(rate, grid)`: the grid is a dict from every rate to its mean loss.
    """
    course, begin = Course(task, make(steps), steps), starts(task, seeds)
    grids = {end: {} for end in ends}
    first, last = (RATES.index(rate) for rate in interval)
    numbers = range(first, last + 1)
    while numbers:
        for rate in (RATES[number] for number in numbers):
            curves = [
                course.run(weights, seed, rate) for weights, seed in zip(begin, seeds, strict=True)
            ]
            for end in ends:
                grids[end][rate] = float(np.mean([end_of(curve[:end]) for curve in curves]))
        best = {RATES.index(min(grid, key=grid.get)) for grid in grids.values()}
        numbers = [first - 1] * (first in best and first > 0)
        numbers += [last + 1] * (last in best and last + 1 < len(RATES))
        first, last = min([first, *numbers]), max([last, *numbers])
    return {
        end: (min(grid, key=grid.get), dict(sorted(grid.items()))) for end, grid in grids.items()
    }


def trainings(task, optimizer, steps, seeds, rate=None):
    """What trainings of one optimizer reach.

    Args:
        task, steps, seeds: as for `tuned_rates`.
        optimizer: a `keras.optimizers.Optimizer`, not built.
        rate: as for `Course.run`.

    Returns:
        Dict of lists, an entry a training: `training_loss` at the end, see `end_of`,
        `held_out_loss` and, of a classification, `accuracy`.
    """
    course, found = Course(task, optimizer, steps), []
    for weights, seed in zip(starts(task, seeds), seeds, strict=True):
        end = float(end_of(course.run(weights, seed, rate)))
        found.append((end, *course.held_out()))
    training, held_out, accuracy = zip(*found, strict=True)
    return {
        "training_loss": list(training),
        "held_out_loss": list(held_out),
        "accuracy": list(accuracy) if task.classifies else None,
    }
