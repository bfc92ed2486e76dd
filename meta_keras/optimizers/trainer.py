"""Trains a learned optimizer by gradient descent through the unrolled optimization."""

import keras
import tensorflow as tf

from meta_keras.optimizers.curves import LossCurve, loss_curve
from meta_keras.recompute import unroll_recomputed
from meta_keras.unroll import unroll


@keras.saving.register_keras_serializable(package="meta_keras")
class OptimizerTrainer(keras.Model):
    """Truncated back-propagation through the runs of a cell on a problem.

    One training step carries on an optimization for `unroll_steps` steps and takes one step of
    the outer optimizer on the cell's weights phi, with the loss (Andrychowicz et al. 2016,
    equation 3, divided by the number of steps; https://arxiv.org/abs/1606.04474)

        L(phi) = 1/T sum_{t=1}^{T} w_t f(theta_t),      theta_t = cell(grad f(theta_{t-1}), ...)

    Parameters and state of the cell are carried over to the next training step as values; no
    derivative goes back beyond the truncation.

    It is trained by plain `fit` on a data set of `truncations` and validated by its
    `validation_data`, a data set of `validation_optimizations`: `val_loss` is the mean loss of
    steps 1 to `horizon`, weighted as in training, over whole fresh optimizations, `val_final_loss`
    that of the last step, and `curve` holds the mean for every step.

    Args:
        cell: a `meta_keras.layers.Cell` with weights.
        problem: a `meta_keras.problems.Problem`. It is not saved: after `load_model` set the
            attribute `problem` before training on.
        unroll_steps: T, steps of one truncation.
        second_order: if false, gradients enter the cell as constants, as in the paper
            (section 2, figure 2).
        loss_weights: w_1, w_2, ... for every step of an optimization, at least as many as its
            longest horizon has; None: all 1, as in the paper, whose equation 3 allows any.
        recompute: gradient checkpointing, see `meta_keras.recompute`: memory for truncations of
            many steps.
        horizon: steps of an optimization in validation.
        validation_problem: a `Problem`, likewise not saved; `problem` by default.
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
        loss_weights=None,
        recompute=False,
        horizon=100,
        validation_problem=None,
        size=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        name = type(self).__name__
        for argument, value in (("unroll_steps", unroll_steps), ("horizon", horizon)):
            if value != int(value) or value < 1:
                raise ValueError(f"{name}: {argument} must be a positive integer, got {value!r}.")
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
        self.validation_problem = validation_problem or problem
        self.unroll_steps = int(unroll_steps)
        self.second_order = second_order
        self.loss_weights = None if loss_weights is None else [float(w) for w in loss_weights]
        self.recompute = recompute
        self.size = int(size or problem.size)
        if problem is not None and problem.variables is not None:
            cell.prepare(problem.variables)
        cell.build_once(self.size)
        start = tf.zeros(self.size), cell.initial_state(tf.zeros(self.size))
        # theta and the cell's state: what is carried over.
        self.carried = [
            self.add_weight(
                shape=leaf.shape, initializer="zeros", trainable=False, name=f"carried_{number}"
            )
            for number, leaf in enumerate(tf.nest.flatten(start))
        ]
        self.structure = start
        self._from_version_1, self._resumable = False, True
        self.horizon = int(horizon)
        self.loss_mean = keras.metrics.Mean(name="loss")
        self.curve = LossCurve(self.horizon)
        self.built = True

    def build(self, input_shape=None):
        """Nothing is left to build."""

    @property
    def metrics(self):
        return [self.loss_mean, self.curve]

    def start(self, seed):
        """`(parameters, state)` at the beginning of optimization `seed`."""
        parameters = self.problem.initial_parameters(seed)
        return parameters, self.cell.initial_state(parameters)

    def truncation_loss(self, seed, step, parameters, state):
        """The loss of one truncation.

        Args:
            seed, step: int64 scalars: the optimization, and its steps so far.
            parameters: `[P]`.
            state: of the cell.

        Returns:
            `(loss, parameters, state)`: scalar, and what the last step left.
        """

        def loss_fn(theta, t, carry):
            return self.problem.loss(theta, seed, step + t), carry

        run = (unroll_recomputed if self.recompute else unroll)(
            self.cell,
            loss_fn,
            parameters,
            self.unroll_steps,
            state=state,
            second_order=self.second_order,
        )
        last, _ = loss_fn(run.parameters, self.unroll_steps, ())
        losses = tf.stack([*run.losses[1:], last])
        if self.loss_weights is not None:
            weights = tf.constant(self.loss_weights, losses.dtype)
            losses *= tf.gather(weights, step + tf.range(self.unroll_steps, dtype=tf.int64))
        return tf.reduce_mean(losses), run.parameters, run.state

    def train_step(self, data):
        if not self._resumable:
            raise ValueError(
                f"{type(self).__name__}: a run begun with version 0.1 cannot be continued with "
                "these options: train in a new folder, or use its finished optimizer, the preset "
                "`optimizer` in its folder."
            )
        if self.problem is None:
            raise ValueError(
                f"{type(self).__name__}: problem=None; a loaded trainer has none: set its "
                "attribute .problem before fit."
            )
        if self.second_order and not self.problem.second_order:
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
        after = tf.nest.flatten((parameters, state))
        for variable, value in zip(self.carried, after, strict=True):
            variable.assign(value)
        self.loss_mean.update_state(loss)
        return {"loss": self.loss_mean.result()}

    def test_step(self, data):
        if self.validation_problem is None:
            raise ValueError(
                f"{type(self).__name__}: validation_problem=None; a loaded trainer has none: set "
                "its attribute .validation_problem before evaluate."
            )
        seed = tf.cast(tf.reshape(data["seed"], []), tf.int64)
        self.curve.update_state(loss_curve(self.cell, self.validation_problem, seed, self.horizon))
        means = self.curve.result()
        weights = self.loss_weights[: self.horizon] if self.loss_weights else [1.0] * self.horizon
        loss = tf.tensordot(means[1:], tf.constant(weights, means.dtype), 1) / sum(weights)
        return {"loss": loss, "final_loss": means[-1]}

    def load_own_variables(self, store):
        """Loads what is carried over; version 0.1 saved the scale of every coordinate, too."""
        values = [store[str(number)] for number in range(len(store.keys()))]
        if self._from_version_1 and len(values) == len(self.carried) + 1:
            del values[1]
        if [value.shape for value in values] != [tuple(v.shape) for v in self.carried]:
            if not self._from_version_1:
                super().load_own_variables(store)  # raises the error
            self._resumable = False
            return
        for variable, value in zip(self.carried, values, strict=True):
            variable.assign(value)

    def get_config(self):
        return {
            **super().get_config(),
            "cell": keras.saving.serialize_keras_object(self.cell),
            "unroll_steps": self.unroll_steps,
            "second_order": self.second_order,
            "loss_weights": self.loss_weights,
            "recompute": self.recompute,
            "horizon": self.horizon,
            "size": self.size,
        }

    @classmethod
    def from_config(cls, config):
        config = {**config, "cell": keras.saving.deserialize_keras_object(config["cell"])}
        scale = config.pop("random_scale", None)
        trainer = cls(**config)
        # Version 0.1 scaled coordinates here: what it carried over is of no use without that.
        trainer._from_version_1 = scale is not None
        trainer._resumable = not scale
        return trainer
