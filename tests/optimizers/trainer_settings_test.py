"""Whatever is declared on an `OptimizerTrainer`, to `compile` or to `fit`, acts or is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.errors import SettingError
from meta_keras.layers import AdamCell, Cell, CoordinatewiseLSTM, GatedLSTMCell, GradientDescentCell
from meta_keras.optimizers import OptimizerTrainer, loss_curves, truncations
from meta_keras.optimizers import validation_optimizations as validation
from meta_keras.problems import CharacterClassification, ModelProblem, Quadratic, RandomlyScaled
from tests.policy import global_policy

PROBLEM = Quadratic(dimensions=2, batch=3)
OTHER = RandomlyScaled(PROBLEM, 1.0)
CHANGES = {
    "unroll_steps": 3,
    "second_order": True,
    "loss_weights": [3.0] * 10,
    "problem": OTHER,
    "recompute": True,
}


def _trainer(rate=0.0, optimizer=None, problem=PROBLEM, run_eagerly=True, **kwargs):
    keras.utils.set_random_seed(0)
    cell = CoordinatewiseLSTM((3,), "rnnprop")
    cell.build_once()
    for variable in cell.trainable_variables:
        variable.assign(np.random.default_rng(1).normal(scale=0.5, size=variable.shape))
    trainer = OptimizerTrainer(cell, problem, **{"unroll_steps": 2, "horizon": 3, **kwargs})
    trainer.compile(
        optimizer or keras.optimizers.SGD(rate), run_eagerly=run_eagerly, jit_compile=False
    )
    return trainer


def _work(unroll_steps=2):
    return truncations(1, 2 * unroll_steps, unroll_steps)


def _fit(trainer, **kwargs):
    """The loss of one truncation and what the cell has learned from it."""
    loss = trainer.fit(_work(trainer.unroll_steps), verbose=0, **kwargs).history["loss"][0]
    return loss, [variable.numpy() for variable in trainer.trainable_variables]


@pytest.mark.parametrize("name", CHANGES)
def test_a_setting_changed_later_acts(name):
    """In a graph that Keras has kept from before."""
    changed = _trainer(0.1, run_eagerly=False)
    start = changed.get_weights()
    first = _fit(changed)
    setattr(changed, name, CHANGES[name])
    changed.set_weights(start)
    actual = _fit(changed)
    expected = _fit(_trainer(0.1, **{"problem": PROBLEM, name: CHANGES[name]}))
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-4)
    for ours, theirs in zip(actual[1], expected[1], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
    if name != "recompute":  # which changes nothing but memory
        assert any(
            not np.allclose(a, b, rtol=1e-5) for a, b in zip(actual[1], first[1], strict=True)
        )


def test_a_callback_changes_a_setting():
    class Longer(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.loss_weights = [10.0**epoch] * 8

    trainer = _trainer(run_eagerly=False)
    losses = trainer.fit(_work().take(1).repeat(), epochs=3, steps_per_epoch=1, verbose=0)
    plain = losses.history["loss"]
    losses = trainer.fit(
        _work().take(1).repeat(), epochs=3, steps_per_epoch=1, verbose=0, callbacks=[Longer()]
    )
    np.testing.assert_allclose(losses.history["loss"], plain * 10.0 ** np.arange(3), rtol=1e-5)


def test_validation_follows_its_settings():
    trainer = _trainer(run_eagerly=False)
    losses = []
    for name, value in ((None, None), ("validation_problem", OTHER), ("horizon", 5)):
        if name:
            setattr(trainer, name, value)
        losses.append(trainer.evaluate(validation([-1]), verbose=0, return_dict=True))
        problem = trainer.validation_problem or PROBLEM
        curve = loss_curves(trainer.cell, problem, [-1], trainer.horizon)[0]
        np.testing.assert_allclose(losses[-1]["loss"], curve[1:].mean(), rtol=1e-5)
    assert len({loss["loss"] for loss in losses}) == 3


def test_a_frozen_weight_stays():
    """Whether it is frozen before the first `fit` or between two; without compiling again."""
    trainer = _trainer(0.1, run_eagerly=False)
    weights = trainer.cell.trainable_variables
    for frozen in ((), (0, 2), (0, 1, 2)):
        for number in frozen:
            weights[number].trainable = False
        before = [weight.numpy() for weight in weights]
        _fit(trainer)
        same = [np.array_equal(a, b) for a, b in zip(before, weights, strict=True)]
        assert same == [number in frozen for number in range(len(weights))]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("unroll_steps", 0, "unroll_steps must be a positive integer, got 0"),
        ("second_order", "no", "second_order must be True or False, got 'no'"),
        ("recompute", 2, "recompute must be True or False, got 2"),
        ("loss_weights", [-1.0], r"loss_weights must not be negative.*got \[-1.0\]"),
        ("problem", Quadratic(dimensions=5), "problem must have 6 parameters, not 640, got <"),
        (
            "validation_problem",
            Quadratic(dimensions=5),
            "validation_problem must have 6",
        ),
        ("horizon", 2.5, "horizon must be a positive integer, got 2.5"),
        ("size", 7, "size cannot be replaced"),
        ("cell", CoordinatewiseLSTM((3,)), "cell cannot be replaced.*make a new one"),
    ],
)
def test_bad_settings_are_refused_later_too(name, value, message):
    trainer = _trainer()
    before = getattr(trainer, name)
    with pytest.raises(SettingError, match=f"OptimizerTrainer: {message}"):
        setattr(trainer, name, value)
    assert getattr(trainer, name) is before


@pytest.mark.parametrize(
    "given",
    [{"loss": "mse"}, {"metrics": ["mae"]}, {"weighted_metrics": ["mae"]}, {"loss_weights": [1.0]}],
)
def test_compile_takes_no_loss_and_no_metrics(given):
    with pytest.raises(SettingError, match=f"OptimizerTrainer: {next(iter(given))}="):
        _trainer().compile("sgd", **given)


def test_fit_takes_no_targets_and_no_weights():
    trainer, work = _trainer(), _work()
    for given in ({"class_weight": {0: 1.0}}, {"sample_weight": np.ones(2)}, {"y": np.ones(2)}):
        with pytest.raises(SettingError, match=f"OptimizerTrainer: {next(iter(given))}="):
            trainer.fit(work, verbose=0, **given)
    with pytest.raises(SettingError, match=r"unroll_steps=2.* made with unroll_steps=3"):
        trainer.fit(_work(3), verbose=0)
    several = {"seed": np.arange(4), "step": np.zeros(4, "int64")}
    for data in (several, work.map(lambda x: (x, 1.0))):
        with pytest.raises(SettingError, match="`x` must be what truncations"):
            trainer.fit(data, verbose=0)


def test_cells_that_cannot_be_trained():
    with pytest.raises(SettingError, match="cell=<GatedLSTMCell.*whole state"):
        OptimizerTrainer(GatedLSTMCell(), PROBLEM)
    fixed = OptimizerTrainer(GradientDescentCell(), PROBLEM)
    fixed.compile("sgd", run_eagerly=True)
    frozen = _trainer()
    frozen.cell.trainable = False
    for trainer in (fixed, frozen):
        with pytest.raises(SettingError, match="cell=.* has no trainable weights"):
            trainer.fit(truncations(1, 20, trainer.unroll_steps), verbose=0)
    with pytest.raises(SettingError, match="dtype='float64' must be that of the cell, float32"):
        OptimizerTrainer(CoordinatewiseLSTM(), PROBLEM, dtype="float64")


class Scaled(Cell):
    """Gradient descent with a learned rate, and what a layer may declare beyond its output."""

    def __init__(self, adds=False, **kwargs):
        super().__init__(**kwargs)
        self.adds = adds

    def build(self, shape):
        self.rate = self.add_weight(shape=(), initializer="ones", regularizer="l2")

    def initial_state(self, parameters):
        return ()

    def call(self, gradient, loss, parameters, state):
        if self.adds:
            self.add_loss(tf.reduce_mean(gradient))
        return parameters - 0.1 * self.rate * gradient, state


def test_regularisers_of_the_cell_count():
    """0.01 r^2 more for the loss, and 0.02 r for the gradient."""
    found = []
    for strength in (0.0, 0.01):
        trainer = OptimizerTrainer(Scaled(), PROBLEM, unroll_steps=2)
        trainer.cell.rate.regularizer = keras.regularizers.L2(strength)
        trainer.compile(keras.optimizers.SGD(1.0), run_eagerly=True)
        loss, (rate,) = _fit(trainer)
        found.append((loss, float(rate)))
    (loss, rate), (penalised_loss, penalised_rate) = found
    assert penalised_loss - loss == pytest.approx(0.01, rel=1e-3)
    assert penalised_rate - rate == pytest.approx(-0.02, rel=1e-3)


def test_losses_of_a_cells_activations_are_refused():
    trainer = OptimizerTrainer(Scaled(adds=True, name="mine"), PROBLEM, unroll_steps=2)
    trainer.compile("sgd", run_eagerly=True)
    with pytest.raises(SettingError, match="layer 'mine' of the cell adds a loss"):
        _fit(trainer)


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.optimizers.SGD(0.1, loss_scale_factor=1024.0),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)),
    ],
)
def test_scaling_the_loss_changes_nothing(make):
    """Keras divides the gradients by the scale; the loss must have been multiplied."""
    _, expected = _fit(_trainer(0.1))
    _, actual = _fit(_trainer(optimizer=make()))
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def _model_problem():
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(3, "tanh"), keras.layers.BatchNormalization()]
    model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(2)])
    rng = np.random.default_rng(0)
    data = rng.normal(size=(20, 4)).astype("float32"), rng.integers(0, 2, 20)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return ModelProblem(model, loss, tf.data.Dataset.from_tensor_slices(data), 8)


def _characters():
    drawings = np.random.default_rng(0).integers(0, 255, (3, 20, 16, 16)).astype("uint8")
    keras.utils.set_random_seed(1)
    return CharacterClassification(drawings, nway=2, filters=2, batch_size=4)


MAKE = {
    "quadratic": lambda: PROBLEM,
    "scaled": lambda: OTHER,
    "model": _model_problem,
    "characters": _characters,
}


@pytest.mark.parametrize("problem", MAKE)
def test_global_policies(problem):
    """Parameters, losses and what is carried over are float32, or float64 where asked for."""
    losses = {}
    for policy in ("float32", "mixed_float16", "mixed_bfloat16", "float64"):
        with global_policy(policy):
            trainer = _trainer(0.1, problem=MAKE[problem]())
            assert type(trainer.optimizer) is keras.optimizers.SGD
            losses[policy], _ = _fit(trainer)
            theta, _ = trainer.start(tf.constant(0, tf.int64))
        exact = "float64" if policy == "float64" else "float32"
        assert {v.dtype for v in [*trainer.carried, *trainer.cell.variables]} == {exact}
        assert theta.dtype == exact
    if problem in ("model", "characters"):
        del losses["float64"]  # whose initial weights are others
    np.testing.assert_allclose(list(losses.values()), losses["float32"], rtol=0.02)


@pytest.mark.parametrize("policy", ["mixed_float16", "float64"])
def test_baselines_under_global_policies(policy):
    with global_policy(policy):
        found = loss_curves(AdamCell(), PROBLEM, [-1], 3, [0.1, 0.3])
    assert found.dtype == ("float64" if policy == "float64" else "float32")
    expected = loss_curves(AdamCell(), PROBLEM, [-1], 3, [0.1, 0.3])
    np.testing.assert_allclose(found, expected, rtol=1e-4)
