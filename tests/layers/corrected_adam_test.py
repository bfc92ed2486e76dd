"""Tests of the optimizer for any model, against NumPy in float64."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.errors import SettingError
from meta_keras.layers import CorrectedAdam, corrected_adam
from tests.conformance.cells import randomized

SHAPES = ((3, 2), (2,), (2, 1, 2, 3), (3,))
SIZES = [6, 2, 12, 3]
SIZE = sum(SIZES)
ENDS = list(itertools.accumulate(SIZES))
PARTS = [slice(end - size, end) for size, end in zip(SIZES, ENDS, strict=True)]


def root(x):
    return np.sqrt(np.maximum(x, 1e-30)) + 1e-8


def clipped(x):
    return x / np.sqrt(1 + (np.asarray(x) / 3) ** 2)


def cosine(a, b):
    return np.mean(a * b) / (root(np.mean(a * a)) * root(np.mean(b * b)))


class Reference:
    """The cell, tensor by tensor, as its docstrings say."""

    def __init__(self, cell, horizon):
        self.w = {variable.name: np.float64(variable) for variable in cell.variables}
        self.layers, self.rate, self.horizon = len(cell.units), cell.rate, horizon
        self.m = {beta: np.zeros(SIZE) for beta in (0.5, 0.9, 0.99)}
        self.v = {beta: np.zeros(SIZE) for beta in (0.95, 0.999)}
        self.factors = [(0.0, 0.0) for _ in SIZES]
        self.logarithms = np.zeros(len(SIZES))
        self.t = 0

    def step(self, g, theta):
        self.t += 1
        t, n = self.t, self.horizon
        before = self.m[0.9]
        self.m = {b: b * m + (1 - b) * g for b, m in self.m.items()}
        self.v = {b: b * v + (1 - b) * g * g for b, v in self.v.items()}
        m = {b: x / (1 - b**t) for b, x in self.m.items()}
        s = {b: root(x / (1 - b**t)) for b, x in self.v.items()}
        c = min(t, n) if n else t
        done = (c - 1) / n if n else 0.0
        time = [done, done**4, float(n > 0), np.log(n) / 5 if n else 0.0]
        time += [np.tanh(c / 10), np.tanh(c / 100), np.log(c) / 5]
        cosines = [
            (cosine(g[part], before[part]), cosine(m[0.5][part], m[0.99][part])) for part in PARTS
        ]
        after = np.zeros(SIZE)
        for k, (shape, part) in enumerate(zip(SHAPES, PARTS, strict=True)):
            fan_in = int(np.prod(shape[:-1])) if len(shape) > 1 else 1
            fan_out = shape[-1] if len(shape) > 1 else SIZES[k]
            form = [np.log(fan_in) / 5, np.log(fan_out) / 5, np.log(SIZES[k]) / 10]
            form += [len(shape) == 1, len(shape) == 2, len(shape) > 2, k / 3, k >= 2, np.log(4) / 3]
            u = m[0.9][part] / s[0.999][part]
            rms = root(np.mean(theta[part] ** 2))
            noise = (np.mean(m[0.99][part] ** 2) + 1e-16) / (
                np.mean(self.v[0.999][part] / (1 - 0.999**t)) + 1e-16
            )
            run = [np.log(rms) / 5, np.log(root(np.mean(u * u))) / 2, *cosines[k]]
            run += [np.log(noise) / 5, self.logarithms[k], *np.mean(cosines, axis=0)]
            context = np.array([*time, *form, *run], float)
            w = self.w
            out = context @ w["tensor_direct"] + w["tensor_shift"]
            if "tensor_kernel" in w:
                hidden = np.tanh(context @ w["tensor_kernel"] + w["tensor_bias"])
                out += hidden @ w["tensor_output"]

            a = s[0.999][part]
            if len(shape) > 1:
                square = (g[part] ** 2).reshape(fan_in, fan_out)
                r, c = self.factors[k]
                r = 0.999 * r + 0.001 * square.mean(axis=1)
                c = 0.999 * c + 0.001 * square.mean(axis=0)
                self.factors[k] = r, c
                left = 1 - 0.999**t
                a = np.outer(root(r / left), root(c / left)).ravel() / root(np.mean(r) / left)
            x = clipped(
                [
                    u,
                    m[0.5][part] / s[0.999][part],
                    m[0.99][part] / s[0.999][part],
                    g[part] / s[0.95][part],
                    np.log(s[0.95][part] / s[0.999][part]),
                    g[part] / a,
                    m[0.9][part] / a,
                    np.log(s[0.999][part] / np.mean(s[0.999][part])) / 3,
                    theta[part] / rms,
                ]
            ).T
            straight = x @ w["direct"]
            for layer in range(self.layers):
                x = x @ w[f"kernel_{layer}"] + w[f"bias_{layer}"] + (out[2:] if layer == 0 else 0)
                x = np.maximum(x, 0)
            left = max(1 - (t - 1) / n, 1 / n) if n else (1 + (t - 1) / 100) ** -0.5
            rate = self.rate * left * np.exp(out[0] + self.logarithms[k])
            corrections = straight + (x @ w["output_kernel"] if self.layers else 0)
            after[part] = theta[part] - rate * (u + corrections)
            self.logarithms[k] += (out[1] - self.logarithms[k]) / 50
        return after


def make(dtype="float64", units=(4, 3), tensor_units=5, **arguments):
    cell = CorrectedAdam(units, tensor_units, rate=0.1, dtype=dtype, **arguments)
    cell.prepare([keras.Variable(np.zeros(shape)) for shape in SHAPES])
    cell.build_once()
    return randomized(cell, scale=0.4)


def gradients(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, SIZE)) * np.logspace(-4, 2, SIZE)


@pytest.mark.parametrize("steps", [None, 4])
@pytest.mark.parametrize("block", [None, 5])
@pytest.mark.parametrize("hidden", [{}, {"units": (), "tensor_units": None}])
def test_equals_the_reference(steps, block, hidden, monkeypatch):
    """Six steps, two of them beyond the end; in blocks that cut tensors, too."""
    if block:
        monkeypatch.setattr(corrected_adam, "BLOCK", block)
    cell = make(steps=steps, **hidden)
    reference = Reference(cell, steps or 0)
    expected = np.random.default_rng(1).normal(size=SIZE)
    theta = tf.constant(expected)
    state = cell.initial_state(theta)
    for gradient in gradients(6):
        theta, state = cell(tf.constant(gradient), tf.zeros(()), theta, state)
        expected = reference.step(gradient, expected)
        np.testing.assert_allclose(theta, expected, rtol=1e-9)
    np.testing.assert_allclose(state.rates, reference.logarithms, rtol=1e-9)


def test_begins_as_adam_with_linear_decay():
    cell = CorrectedAdam(rate=0.1, steps=8, dtype="float64")
    keras_adam = keras.optimizers.Adam(lambda: 0.1 * (1 - keras_adam.iterations / 8), epsilon=1e-8)
    variable = keras.Variable(np.ones(SIZE), dtype="float64")
    cell.build_once()
    theta = tf.ones(SIZE, tf.float64)
    state = cell.initial_state(theta)
    for gradient in np.random.default_rng(2).normal(size=(8, SIZE)):
        theta, state = cell(tf.constant(gradient), tf.zeros(()), theta, state)
        keras_adam.apply([tf.constant(gradient)], [variable])
        np.testing.assert_allclose(theta, variable, rtol=1e-5)


def test_knows_no_scale_of_gradients():
    """A thousand times the gradients, the same run."""
    runs = []
    for scale in (1.0, 1e3):
        cell = make(steps=6)
        theta = tf.ones(SIZE, tf.float64)
        state = cell.initial_state(theta)
        for gradient in np.random.default_rng(2).normal(size=(6, SIZE)):
            theta, state = cell(tf.constant(scale * gradient), tf.zeros(()), theta, state)
        runs.append(theta)
    np.testing.assert_allclose(*runs, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_zero_tiny_and_huge_gradients(dtype):
    """All stays finite, derivatives too; and single precision is as good as double."""
    found = {}
    special = np.zeros((4, SIZE))
    special[0, ::2] = 1e-30
    special[1, 1::3] = 1e-12
    special[2, 2::3] = 3e30
    special[3] = np.random.default_rng(3).normal(size=SIZE)
    for name in ("float64", dtype):
        cell = make(steps=6, dtype=name)
        theta = start = tf.ones(SIZE, name)
        gradients = tf.constant(special, name)
        with tf.GradientTape() as tape:
            tape.watch([gradients, start])
            theta, state = start, cell.initial_state(start)
            for gradient in tf.unstack(gradients):
                theta, state = cell(gradient, tf.zeros((), name), theta, state)
        derivatives = tape.gradient(theta, [gradients, start, *cell.trainable_variables])
        assert all(np.isfinite(x).all() for x in (theta, *derivatives))
        found[name] = theta
    np.testing.assert_allclose(found[dtype], found["float64"], rtol=2e-3)


def test_a_run_of_a_length_that_is_told_later():
    """The horizon is a part of the state, so that one graph serves runs of any length."""
    cell = make(steps=None)
    theta = tf.ones(SIZE, tf.float64)
    told = cell.for_horizon(cell.initial_state(theta), tf.constant(6, tf.int64))
    other = make(steps=6).initial_state(theta)
    tf.nest.map_structure(np.testing.assert_array_equal, told, other)


def test_without_a_gradient_a_tensor_keeps_its_state():
    cell = make(steps=6)
    theta = tf.ones(SIZE, tf.float64)
    _, before = cell(tf.constant(gradients(1)[0]), tf.zeros(()), theta, cell.initial_state(theta))
    _, after = cell(tf.constant(gradients(1, 7)[0]), tf.zeros(()), theta, before)
    moved = np.repeat([True, False, False, True], SIZES)
    kept = cell.select(tf.constant(moved), after, before)
    for name, places in (("rows", (0,)), ("columns", (0,))):
        for place, parts in enumerate(
            zip(*(getattr(s, name) for s in (kept, after, before)), strict=True)
        ):
            expected = parts[1] if place in places else parts[2]
            np.testing.assert_array_equal(parts[0], expected)
            assert np.abs(parts[1] - parts[2]).max() > 0
    np.testing.assert_array_equal(kept.rates, np.where([1, 0, 0, 1], after.rates, before.rates))
    np.testing.assert_array_equal(kept.means, np.where(moved, after.means, before.means))
    np.testing.assert_array_equal(kept.squares, np.where(moved, after.squares, before.squares))
    assert kept.step == 2


def test_refusals():
    for arguments, words in (
        ({"units": (3, 0)}, "units must be a positive integer"),
        ({"rate": 0}, "rate must be positive"),
        ({"steps": 0}, "steps must be a positive integer"),
        ({"tensor_units": 1.5}, "tensor_units must be a positive integer"),
    ):
        with pytest.raises(SettingError, match=words):
            CorrectedAdam(**arguments)
    with pytest.raises(SettingError, match=r"prepared for 23 coordinates, not 4"):
        make().initial_state(tf.ones(4, tf.float64))
