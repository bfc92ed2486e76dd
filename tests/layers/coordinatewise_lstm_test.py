"""Tests of the learned optimizer's cell against its equations in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from meta_keras.layers import CoordinatewiseLSTM, LogAndSign
from meta_keras.layers.concatenated import named_preprocessing

COORDINATES, STEPS, P = 7, 5, 6.0
MODES = ["none", "log_and_sign", "rnnprop", "combined"]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture
def make_cell():
    """Function that builds a float64 cell with weights at which every term matters."""

    def make(preprocessing="log_and_sign", units=(4, 3), output_scale=0.3, gradient_rate=None):
        cell = CoordinatewiseLSTM(
            units,
            named_preprocessing(preprocessing, P),
            output_scale,
            gradient_rate,
            dtype="float64",
        )
        cell.build((COORDINATES,))
        cell.built = True
        rng = np.random.default_rng(1)
        for variable in cell.trainable_variables:
            variable.assign(rng.normal(scale=0.6, size=variable.shape))
        return cell

    return make


def reference(cell, mode, gradients, theta, log_and_sign):
    """Andrychowicz et al. 2016 and Lv et al. 2017, a row per coordinate: theta after each step."""
    weights = {v.name: v.numpy() for v in cell.trainable_variables}
    h = [np.zeros((len(theta), width)) for width in cell.units]
    c = [np.zeros((len(theta), width)) for width in cell.units]
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    path = []
    for t, gradient in enumerate(gradients, start=1):
        if mode == "none":
            x = gradient[:, None]
        elif mode == "log_and_sign":
            x = log_and_sign(gradient, P)
        else:
            m, v = 0.95 * m + 0.05 * gradient, 0.95 * v + 0.05 * gradient**2
            m_hat, v_hat = m / (1 - 0.95**t), v / (1 - 0.95**t)
            x = np.stack([m_hat / np.sqrt(v_hat), gradient / np.sqrt(v_hat)], axis=1)
            if mode == "combined":
                x = np.concatenate([x, log_and_sign(gradient, P)], axis=1)
        for layer, units in enumerate(cell.units):
            inputs = np.concatenate([x, h[layer]], axis=1)
            z = inputs @ weights[f"kernel_{layer}"] + weights[f"bias_{layer}"]
            i, f, g, o = (z[:, gate * units : (gate + 1) * units] for gate in range(4))
            c[layer] = sigmoid(f) * c[layer] + sigmoid(i) * np.tanh(g)
            x = h[layer] = sigmoid(o) * np.tanh(c[layer])
        output = (x @ weights["output_kernel"])[:, 0] + weights["output_bias"]
        if mode in ("rnnprop", "combined"):
            output = np.tanh(output)
        theta = theta + cell.output_scale * output
        if cell.gradient_rate:
            gates = np.exp(x @ weights["path_kernel"] + weights["path_bias"])
            descent = 10 * gates[:, 0] * m_hat + gates[:, 1] * gradient
            theta = theta - cell.gradient_rate * descent
        path.append(theta)
    return np.stack(path)


@pytest.mark.parametrize(
    ("mode", "gradient_rate"),
    [*((mode, None) for mode in MODES), ("rnnprop", 0.2), ("combined", 0.2)],
)
@pytest.mark.parametrize("units", [(4, 3), (5,)])
def test_equals_the_equations(make_cell, log_and_sign_reference, mode, gradient_rate, units):
    cell = make_cell(mode, units, gradient_rate=gradient_rate)
    rng = np.random.default_rng(2)
    # Magnitudes on both sides of exp(-p), where log-and-sign changes its form.
    gradients = rng.normal(size=(STEPS, COORDINATES)) * 10.0 ** rng.uniform(-5, 1, COORDINATES)
    theta = rng.normal(size=COORDINATES)
    expected = reference(cell, mode, gradients, theta, log_and_sign_reference)
    parameters, state = tf.constant(theta), cell.initial_state(tf.constant(theta))
    for step in range(STEPS):
        before = parameters
        loss = tf.constant(0.0, tf.float64)
        parameters, state = cell(tf.constant(gradients[step]), loss, parameters, state)
        # epsilon 1e-8 in rnnprop's denominator
        np.testing.assert_allclose(parameters, expected[step], rtol=1e-4)
        np.testing.assert_allclose(parameters - before, state.update, atol=1e-12)
    if cell.preprocessing.keeps_mean:
        assert float(tf.nest.flatten(state.preprocessing)[2]) == STEPS


@pytest.mark.parametrize("mode", MODES)
def test_coordinates_do_not_see_each_other(make_cell, mode):
    cell = make_cell(mode)
    rng = np.random.default_rng(3)
    gradients = rng.normal(size=(2, COORDINATES))
    order = rng.permutation(COORDINATES)

    def run(gradients):
        parameters = tf.zeros(COORDINATES, tf.float64)
        state = cell.initial_state(parameters)
        for gradient in gradients:
            parameters, state = cell(gradient, tf.constant(0.0, tf.float64), parameters, state)
        return np.asarray(parameters)

    np.testing.assert_allclose(run(gradients[:, order]), run(gradients)[order], rtol=1e-12)
    changed = gradients.copy()
    changed[:, 0] *= -3
    moved = run(changed) != run(gradients)
    assert moved.tolist() == [True] + [False] * (COORDINATES - 1)


def test_rnnprop_is_blind_to_the_scale_and_bounded(make_cell):
    cell = make_cell("rnnprop", output_scale=0.1)
    gradient = tf.constant(np.random.default_rng(4).normal(size=COORDINATES))
    zeros = tf.zeros(COORDINATES, tf.float64)
    steps = [
        cell(gradient * scale, zeros[0], zeros, cell.initial_state(zeros))[0] for scale in (1, 1e3)
    ]
    np.testing.assert_allclose(steps[0], steps[1], rtol=1e-5)
    assert np.abs(steps[0]).max() < 0.1


def test_derivatives_are_finite_at_a_gradient_of_zero(make_cell):
    for mode in MODES:
        cell = make_cell(mode)
        zeros = tf.zeros(COORDINATES, tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(zeros)
            after, _ = cell(zeros, zeros[0], zeros, cell.initial_state(zeros))
        assert np.isfinite(tape.gradient(after, zeros)).all(), mode


def test_gradient_path_starts_as_descent_with_momentum(make_cell):
    cell = make_cell("combined", gradient_rate=0.2)
    for variable in (cell.output_kernel, cell.output_bias, cell.path_kernel, cell.path_bias):
        variable.assign(tf.zeros_like(variable))
    theta, gradient = tf.zeros(COORDINATES, tf.float64), tf.ones(COORDINATES, tf.float64)
    state = cell.initial_state(theta)
    for scale in (1.0, -2.0):  # m_t: 0.05, -0.0525; m^_t: 1, -0.0525 / 0.0975
        theta, state = cell(scale * gradient, theta[0], theta, state)
    expected = -0.2 * (10 * 1 + 1) - 0.2 * (10 * -0.0525 / 0.0975 - 2)
    np.testing.assert_allclose(theta, expected * np.ones(COORDINATES), rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"units": ()}, r"units=\(\)"),
        ({"units": (20, 0)}, r"units=\(20, 0\)"),
        ({"units": (20, float("nan"))}, r"units=\(20, nan\)"),
        ({"units": (20, "20")}, r"units=\(20, '20'\)"),
        ({"output_scale": float("inf")}, "output_scale must be positive and finite, got inf"),
        ({"gradient_rate": float("inf"), "preprocessing": "rnnprop"}, "gradient_rate .* got inf"),
        ({"preprocessing": "magic"}, "'magic'"),
        ({"preprocessing": 3}, "a Preprocessing or one of .*got 3"),
        ({"output_scale": -1}, "output_scale must be positive, got -1"),
        ({"gradient_rate": 0, "preprocessing": "rnnprop"}, "gradient_rate must be positive.*0"),
        ({"gradient_rate": 0.1}, "gradient_rate=0.1 needs.*'log_and_sign'"),
    ],
)
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=f"CoordinatewiseLSTM.*{message}"):
        CoordinatewiseLSTM(**change)


def test_gradient_path_needs_a_mean_whatever_the_preprocessing_is_called():
    with pytest.raises(ValueError, match=r"gradient_rate=0.1 needs a preprocessing that keeps a"):
        CoordinatewiseLSTM(preprocessing=LogAndSign(), gradient_rate=0.1)


@pytest.mark.parametrize("mode", MODES)
def test_leaves_of_the_state_keep_their_order(make_cell, mode):
    """Saved optimizers hold them by number: h of every layer, c, then m, v, step; the update."""
    cell = make_cell(mode)
    shapes = [leaf.shape for leaf in tf.nest.flatten(cell.initial_state(tf.zeros(COORDINATES)))]
    means = [(COORDINATES,), (COORDINATES,), ()] if cell.preprocessing.keeps_mean else []
    assert shapes == [*[(4, COORDINATES), (3, COORDINATES)] * 2, *means, (COORDINATES,)]


@pytest.mark.parametrize("mode", MODES)
def test_configs_of_older_files(make_cell, mode):
    """They name the preprocessing and have its p beside it; the oldest have no gradient_rate."""
    cell = make_cell(mode)
    old = {**cell.get_config(), "preprocessing": mode, "p": P}
    del old["gradient_rate"]
    config = dict(old)
    assert CoordinatewiseLSTM.from_config(old).get_config() == cell.get_config()
    assert old == config
