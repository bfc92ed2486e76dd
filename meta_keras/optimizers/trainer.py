"""Trains a learned optimizer by gradient descent through the unrolled optimization."""

import math

import keras
import numpy as np
import tensorflow as tf

from meta_keras.unroll import unroll


@keras.saving.register_keras_serializable(package="meta_keras")
class OptimizerTrainer(keras.Model):
    """Truncated back-propagation through the runs of a cell on a problem.

    One training step carries on an optimization for `unroll_steps` steps and takes one step of
    the outer optimizer on the cell's weights phi, with the loss (Andrychowicz et al. 2016,
    equation 3, divided by the number of steps)

        L(phi) = 1/T sum_{t=1}^{T} w_t f(theta_t),      theta_t = cell(grad f(theta_{t-1}), ...)

    Parameters and state of the cell are carried over to the next training step as values; no
    derivative goes back beyond the truncation.

    It is trained by plain `fit` on a data set of truncations, see `truncations`.

    Args:
        cell: a `meta_keras.layers.Cell` with weights.
        problem: a `meta_keras.problems.Problem`. It is not saved: after `load_model` set the
            attribute `problem` before training on.
        unroll_steps: T, steps of one truncation.
        second_order: if false, gradients enter the cell as constants, as in the paper
            (section 2, figure 2).
        random_scale: s; every optimization multiplies every coordinate by exp(u), u from
            U(-s, s), and minimises f(c theta) from theta_0 / c (Lv et al. 2017, section 4.1), so
            that the optimizer cannot learn the scale of the problem by heart. 0: off.
        loss_weights: w_1, w_2, ... for every step of an optimization, at least as many as its
            longest horizon has; None: all 1, as in the paper, whose equation 3 allows any.
        recompute: gradient checkpointing (Chen, Xu, Zhang & Guestrin 2016, "Training deep nets
            with sublinear memory cost"), see `unroll`: memory for truncations of many steps.
        size: P; that of the problem by default.

    Raises:
        ValueError: an argument is out of range; or (in training) there is no problem, or it does
            not allow the second derivatives that `second_order` takes.
    """

    def __init__(
        self,
        cell,
        problem=None,
        unroll_steps=20,
        second_order=False,
        random_scale=0.0,
        loss_weights=None,
        recompute=False,
        size=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        name = type(self).__name__
        if unroll_steps != int(unroll_steps) or unroll_steps < 1:
            raise ValueError(
                f"{name}: unroll_steps must be a positive integer, got {unroll_steps!r}."
            )
        if not 0 <= random_scale < math.inf:
            raise ValueError(
                f"{name}: random_scale must be finite and not negative, got {random_scale!r}."
            )
        if loss_weights is not None and (
            not len(loss_weights) or not min(loss_weights) >= 0 or not max(loss_weights) > 0
        ):
            raise ValueError(
                f"{name}: loss_weights must not be negative nor all zero, got {loss_weights!r}."
            )
        if problem is None and size is None:
            raise ValueError(f"{name}: a problem is needed.")
        self.cell = cell
        self.problem = problem
        self.unroll_steps = int(unroll_steps)
        self.second_order = second_order
        self.random_scale = float(random_scale)
        self.loss_weights = None if loss_weights is None else [float(w) for w in loss_weights]
        self.recompute = recompute
        self.size = int(size or problem.size)
        if problem is not None and problem.variables is not None:
            cell.prepare(problem.variables)
        cell.build_once(self.size)
        start = tf.zeros(self.size), tf.ones(self.size), cell.initial_state(tf.zeros(self.size))
        # theta, the scale of every coordinate, and the cell's state: what is carried over.
        self.carried = [
            self.add_weight(
                shape=leaf.shape, initializer="zeros", trainable=False, name=f"carried_{number}"
            )
            for number, leaf in enumerate(tf.nest.flatten(start))
        ]
        self.structure = start
        self.loss_mean = keras.metrics.Mean(name="loss")
        self.built = True

    def build(self, input_shape=None):
        """Nothing is left to build."""

    @property
    def metrics(self):
        return [self.loss_mean]

    def start(self, seed):
        """`(parameters, scale, state)` at the beginning of optimization `seed`."""
        parameters = self.problem.initial_parameters(seed)
        scale = tf.ones_like(parameters)
        if self.random_scale:
            exponent = tf.random.stateless_uniform(
                [self.size],
                tf.random.fold_in([seed, 0], 99),
                minval=-self.random_scale,
                maxval=self.random_scale,
            )
            scale = tf.exp(exponent)
        return parameters / scale, scale, self.cell.initial_state(parameters)

    def truncation_loss(self, seed, step, parameters, scale, state):
        """The loss of one truncation.

        Args:
            seed, step: int64 scalars: the optimization, and its steps so far.
            parameters, scale: `[P]`.
            state: of the cell.

        Returns:
            `(loss, parameters, state)`: scalar, and what the last step left.
        """

        def loss_fn(theta, t, carry):
            return self.problem.loss(scale * theta, seed, step + t), carry

        run = unroll(
            self.cell,
            loss_fn,
            parameters,
            self.unroll_steps,
            state=state,
            second_order=self.second_order,
            recompute=self.recompute,
        )
        last, _ = loss_fn(run.parameters, self.unroll_steps, ())
        losses = tf.stack([*run.losses[1:], last])
        if self.loss_weights is not None:
            weights = tf.constant(self.loss_weights, losses.dtype)
            losses *= tf.gather(weights, step + tf.range(self.unroll_steps, dtype=tf.int64))
        return tf.reduce_mean(losses), run.parameters, run.state

    def train_step(self, data):
        if self.problem is None:
            raise ValueError(
                f"{type(self).__name__}: problem=None; a loaded trainer has none: set its "
                "attribute .problem before fit."
            )
        if self.second_order and not getattr(self.problem, "second_order", True):
            raise ValueError(
                f"{type(self).__name__}: second_order=True needs a problem with second_order=True."
            )
        seed, step = (tf.cast(tf.reshape(data[name], []), tf.int64) for name in ("seed", "step"))
        carried = tf.nest.pack_sequence_as(
            self.structure, [tf.convert_to_tensor(variable) for variable in self.carried]
        )
        begin = tf.cond(step == 0, lambda: self.start(seed), lambda: carried)
        with tf.GradientTape() as tape:
            loss, parameters, state = self.truncation_loss(seed, step, *begin)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        after = tf.nest.flatten((parameters, begin[1], state))
        for variable, value in zip(self.carried, after, strict=True):
            variable.assign(value)
        self.loss_mean.update_state(loss)
        return {"loss": self.loss_mean.result()}

    def get_config(self):
        return {
            **super().get_config(),
            "cell": keras.saving.serialize_keras_object(self.cell),
            "unroll_steps": self.unroll_steps,
            "second_order": self.second_order,
            "random_scale": self.random_scale,
            "loss_weights": self.loss_weights,
            "recompute": self.recompute,
            "size": self.size,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "cell": keras.saving.deserialize_keras_object(config["cell"])})


def truncations(count, steps, unroll_steps, seed=0, start=0, total=None):
    """The order of work for an `OptimizerTrainer`: truncations of optimizations, in turn.

    Truncation number i is a pure function of `(seed, i)`, so that a run can resume exactly.

    Args:
        count: number of truncations.
        steps: length of an optimization, a multiple of `unroll_steps`; or a list of them, a
            curriculum of horizons (Chen et al. 2020, "Training stronger baselines for learning to
            optimize"): each in turn gets an equal share of the `total` truncations.
        unroll_steps: length of a truncation.
        seed: names the stream of optimizations.
        start: number of the first truncation.
        total: truncations of the whole training, `start + count` by default.

    Returns:
        A `tf.data.Dataset` of dicts of int64 `seed` and `step`, `[1]` each.

    Raises:
        ValueError: a horizon is not a multiple of `unroll_steps`, or there are more horizons than
            truncations.
    """
    horizons = list(steps) if isinstance(steps, (list, tuple)) else [steps]
    total = start + count if total is None else total
    for horizon in horizons:
        if horizon < 1 or horizon % unroll_steps:
            raise ValueError(
                f"steps={horizon} must be a positive multiple of unroll_steps={unroll_steps}."
            )
    if len(horizons) > total:
        raise ValueError(f"{len(horizons)} horizons are more than the {total} truncations.")
    lengths = np.array([horizon // unroll_steps for horizon in horizons])
    begins = np.arange(len(horizons)) * total // len(horizons)
    # Optimizations begun before each stage; the last one of a stage may remain unfinished.
    begun = np.cumsum([0, *-(-np.diff(begins) // lengths[:-1])])
    begins, lengths, begun = (tf.constant(a, tf.int64) for a in (begins, lengths, begun))

    def truncation(i):
        stage = tf.reduce_sum(tf.cast(i >= begins, tf.int64)) - 1
        length, number = lengths[stage], i - begins[stage]
        return {
            "seed": (tf.constant(seed, tf.int64) * 1_000_000_007 + begun[stage] + number // length)[
                None
            ],
            "step": (number % length * unroll_steps)[None],
        }

    return tf.data.Dataset.range(start, start + count).map(truncation)


def loss_curves(cell, problem, seeds, steps, learning_rates=None):
    """Losses along fresh optimizations.

    Args:
        cell: any built `Cell`.
        problem: a `Problem`.
        seeds: the optimizations, a list of ints.
        steps: number of steps.
        learning_rates: list of floats, tried one after the other in place of the rate of a cell
            with a fixed one; one graph serves them all.

    Returns:
        float32 `[seeds, steps + 1]` NumPy array; entry t is the loss after t steps. With
        `learning_rates`: `[rates, seeds, steps + 1]`.
    """

    @tf.function(
        input_signature=[tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.float32)],
    )
    def curve(seed, rate):
        if learning_rates is not None:
            cell.learning_rate = rate
        parameters = problem.initial_parameters(seed)
        state = cell.initial_state(parameters)
        losses = tf.TensorArray(parameters.dtype, steps + 1)
        for step in tf.range(steps, dtype=tf.int64):
            run = unroll(
                cell,
                lambda theta, t, carry: (problem.loss(theta, seed, step), carry),  # noqa: B023
                parameters,
                1,
                state=state,
            )
            losses = losses.write(tf.cast(step, tf.int32), run.losses[0])
            parameters, state = run.parameters, run.state
        last = problem.loss(parameters, seed, tf.constant(steps, tf.int64))
        return losses.write(steps, last).stack()

    own_rate = getattr(cell, "learning_rate", None)
    try:
        curve = curve.get_concrete_function()
        curves = [
            [curve(tf.constant(seed, tf.int64), tf.constant(rate, tf.float32)) for seed in seeds]
            for rate in ([0.0] if learning_rates is None else learning_rates)
        ]
    finally:
        if learning_rates is not None:
            cell.learning_rate = own_rate
    return np.asarray(curves)[slice(None) if learning_rates is not None else 0]
