"""Tests of the training of learned optimizers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.errors import SettingError
from meta_keras.layers import CoordinatewiseLSTM
from meta_keras.layers.concatenated import named_preprocessing
from meta_keras.optimizers import OptimizerTrainer, loss_curves, truncations
from meta_keras.problems import Problem, Quadratic, RandomlyScaled


class Bowl(Problem):
    """A float64 problem that differs from step to step: sum_k a_k (theta_k - m_k(step))^2."""

    size = 3

    def initial_parameters(self, seed):
        return tf.constant([1.0, -0.5, 2.0], tf.float64)

    def loss(self, parameters, seed, step):
        a = tf.constant([1.0, 2.0, 0.3], tf.float64)
        target = tf.sin(tf.cast(step, tf.float64) + tf.range(3, dtype=tf.float64))
        return tf.reduce_sum(a * tf.square(parameters - target) ** 1.5)


def _cell(dtype="float64", preprocessing="log_and_sign"):
    preprocessing = named_preprocessing(preprocessing, p=4.0)
    cell = CoordinatewiseLSTM((3,), preprocessing, output_scale=0.4, dtype=dtype)
    cell.build((None,))
    cell.built = True
    rng = np.random.default_rng(0)
    for variable in cell.trainable_variables:
        variable.assign(rng.normal(scale=0.5, size=variable.shape))
    return cell


def _loss(cell, gradients=None, steps=4, weights=(1.0,) * 4):
    """The truncation's loss by hand; `gradients`: constants the cell is given instead."""
    problem, theta = Bowl(), Bowl().initial_parameters(0)
    state = cell.initial_state(theta)
    seen, total = [], 0.0
    for step in range(steps):
        with tf.GradientTape() as tape:
            tape.watch(theta)
            loss = problem.loss(theta, 0, step)
        gradient = tape.gradient(loss, theta) if gradients is None else gradients[step]
        seen.append(gradient)
        theta, state = cell(gradient, loss, theta, state)
        total += weights[step] * float(problem.loss(theta, 0, step + 1))
    return total / steps, seen


@pytest.mark.parametrize("second_order", [False, True])
@pytest.mark.parametrize(
    ("preprocessing", "options"),
    [
        ("none", {}),
        ("log_and_sign", {}),
        ("rnnprop", {}),
        ("combined", {}),
        ("combined", {"recompute": True}),
        ("log_and_sign", {"loss_weights": [1.0, 0.0, 2.0, 5.0, 9.0]}),
    ],
)
def test_meta_gradient_against_finite_differences(second_order, preprocessing, options):
    """First order: with the cell's inputs held at their values. Second order: the true one."""
    cell = _cell(preprocessing=preprocessing)
    trainer = OptimizerTrainer(cell, Bowl(), unroll_steps=4, second_order=second_order, **options)
    weights = options.get("loss_weights", [1.0] * 4)
    theta = Bowl().initial_parameters(0)
    with tf.GradientTape() as tape:
        loss, _, _ = trainer.truncation_loss(
            tf.constant(0, tf.int64),
            tf.constant(0, tf.int64),
            theta,
            cell.initial_state(theta),
        )
    analytic = tape.gradient(loss, cell.trainable_variables)
    value, seen = _loss(cell, weights=weights)
    np.testing.assert_allclose(loss, value, rtol=1e-10)
    held = None if second_order else seen
    rng = np.random.default_rng(1)
    for variable, gradient in zip(cell.trainable_variables, analytic, strict=True):
        direction = rng.normal(size=variable.shape)
        here, values = variable.numpy(), []
        for sign in (1, -1):
            variable.assign(here + sign * 1e-6 * direction)
            values.append(_loss(cell, held, weights=weights)[0])
        variable.assign(here)
        numeric = (values[0] - values[1]) / 2e-6
        assert abs(numeric) > 1e-8
        np.testing.assert_allclose(np.sum(gradient * direction), numeric, rtol=1e-5)


def _trainer(problem):
    trainer = OptimizerTrainer(_cell("float32"), problem, unroll_steps=5)
    trainer.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    return trainer


def test_truncations_carry_values():
    """With a rate of zero, the truncations of a run have the losses of the whole run."""
    problem = Quadratic(dimensions=3, batch=4)
    trainer = _trainer(problem)
    losses = [
        trainer.fit(truncations(1, 15, 5, start=start), verbose=0).history["loss"][0]
        for start in range(6)
    ]
    seeds = [int(x["seed"][0]) for x in truncations(6, 15, 5)]
    assert seeds[0] == seeds[2] != seeds[3]
    curves = loss_curves(trainer.cell, problem, [seeds[0], seeds[3]], steps=15)
    expected = curves[:, 1:].reshape(2, 3, 5).mean(axis=2).reshape(-1)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


def test_truncations_carry_no_gradients():
    """What came before a truncation enters its meta-gradient as a constant."""
    cell = _cell()
    trainer = OptimizerTrainer(cell, Bowl(), unroll_steps=2)
    zero, two = tf.constant(0, tf.int64), tf.constant(2, tf.int64)
    theta = Bowl().initial_parameters(0)
    with tf.GradientTape() as tape:
        _, theta, state = trainer.truncation_loss(zero, zero, theta, cell.initial_state(theta))
        constant = tf.nest.map_structure(tf.stop_gradient, (theta, state))
        loss, _, _ = trainer.truncation_loss(zero, two, *constant)
    expected = tape.gradient(loss, cell.trainable_variables)

    class Descent(keras.optimizers.SGD):
        def apply_gradients(self, pairs):
            self.seen = [gradient for gradient, _ in pairs]

    trainer = OptimizerTrainer(cell, Bowl(), unroll_steps=2, dtype="float64")
    trainer.compile(Descent(0.0), run_eagerly=True)
    for variable, value in zip(trainer.carried, tf.nest.flatten((theta, state)), strict=True):
        variable.assign(tf.cast(value, variable.dtype))
    trainer.train_step(next(iter(truncations(1, 4, 2, start=1))))
    for gradient, reference in zip(trainer.optimizer.seen, expected, strict=True):
        np.testing.assert_allclose(gradient, reference, rtol=1e-4, atol=1e-8)


def test_it_learns_to_optimize():
    problem = Quadratic(dimensions=2, batch=8)
    cell = CoordinatewiseLSTM((8,), preprocessing="none")
    trainer = OptimizerTrainer(cell, problem, unroll_steps=10)
    trainer.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    seeds = range(10**6, 10**6 + 5)
    before = loss_curves(cell, problem, seeds, steps=20)[:, -1].mean()
    trainer.fit(truncations(200, 20, 10), verbose=0)
    after = loss_curves(cell, problem, seeds, steps=20)[:, -1].mean()
    assert after < 0.7 * before


def test_saved_training_goes_on_exactly(tmp_path):
    problem = RandomlyScaled(Quadratic(dimensions=2, batch=3), scale=1.0)

    def fit(trainer, count, start):
        data = truncations(count, 15, 5, start=start)
        trainer.fit(data, verbose=0, shuffle=False)
        return [v.numpy() for v in trainer.variables]

    def new():
        keras.utils.set_random_seed(0)
        trainer = OptimizerTrainer(
            _cell("float32"),
            problem,
            unroll_steps=5,
            loss_weights=range(1, 16),
            recompute=True,
        )
        trainer.compile(keras.optimizers.Adam(0.01), jit_compile=False)
        return trainer

    expected = fit(new(), 8, 0)
    trainer = new()
    fit(trainer, 4, 0)  # in the middle of an optimization
    trainer.save(tmp_path / "trainer.keras")
    loaded = keras.models.load_model(tmp_path / "trainer.keras")
    loaded.problem = problem
    for actual, value in zip(fit(loaded, 4, 4), expected, strict=True):
        np.testing.assert_array_equal(actual, value)


def test_config_can_be_read_twice():
    config = OptimizerTrainer(_cell("float32"), Quadratic(dimensions=2, batch=3)).get_config()
    trainers = [OptimizerTrainer.from_config(config) for _ in range(2)]
    assert trainers[0].get_config() == trainers[1].get_config() == config


def test_training_needs_a_problem_that_fits():
    trainer = OptimizerTrainer.from_config(_trainer(Quadratic(dimensions=2, batch=3)).get_config())
    trainer.compile("sgd", jit_compile=False)
    with pytest.raises(ValueError, match=r"problem=None.*set its attribute \.problem"):
        trainer.fit(truncations(1, 20, 5), verbose=0)
    problem = Quadratic(dimensions=2, batch=3)
    problem.second_order = False
    trainer = OptimizerTrainer(_cell("float32"), problem, unroll_steps=5, second_order=True)
    trainer.compile("sgd", jit_compile=False)
    with pytest.raises(ValueError, match="second_order=True needs a problem"):
        trainer.fit(truncations(1, 20, 5), verbose=0)


def test_loss_weights_follow_the_step_of_the_optimization():
    problem, weights = Quadratic(dimensions=3, batch=4), [1.0, 2.0, 3.0, 4.0]
    cell = _cell("float32")
    trainer = OptimizerTrainer(cell, problem, unroll_steps=2, loss_weights=weights)
    trainer.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    losses = [
        trainer.fit(truncations(1, 4, 2, start=start), verbose=0).history["loss"][0]
        for start in range(2)
    ]
    curve = loss_curves(cell, problem, [0], steps=4)[0, 1:]
    expected = (weights * curve).reshape(2, 2).mean(axis=1)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unroll_steps": 0}, "unroll_steps must be a positive integer, got 0"),
        ({"horizon": 1.5}, "horizon must be a positive integer, got 1.5"),
        ({"problem": None}, "a problem is needed"),
        ({"problem": None, "size": 0}, "size must be a positive integer, got 0"),
        ({"problem": None, "size": 6.5}, "size must be a positive integer, got 6.5"),
        ({"loss_weights": []}, r"loss_weights must not be .* got \[\]"),
        ({"loss_weights": [1.0, -1.0]}, r"loss_weights must not be .* got \[1.0, -1.0\]"),
        ({"loss_weights": [0.0, 0.0]}, r"loss_weights must not be .* got \[0.0, 0.0\]"),
    ],
)
def test_bad_arguments(change, message):
    arguments = {"problem": Quadratic(dimensions=2, batch=1), **change}
    with pytest.raises(SettingError, match=f"OptimizerTrainer: {message}"):
        OptimizerTrainer(_cell(), **arguments)


def test_several_replicas_are_refused(monkeypatch):
    strategy = type("Strategy", (), {"num_replicas_in_sync": 2})
    monkeypatch.setattr(OptimizerTrainer, "distribute_strategy", strategy)
    with pytest.raises(SettingError, match="one replica only.* has 2"):
        OptimizerTrainer(CoordinatewiseLSTM((2,)), Quadratic(dimensions=2, batch=2)).compile()
