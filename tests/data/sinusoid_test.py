"""Sine waves: what is drawn, and that it is a pure function of (seed, i)."""

import numpy as np
import pytest

from meta_keras.data import sinusoids
from meta_keras.errors import SettingError


def _all(**arguments):
    batches = list(sinusoids(**arguments).as_numpy_iterator())
    x = {name: np.concatenate([x[name] for x, _ in batches]) for name in batches[0][0]}
    return x, np.concatenate([y for _, y in batches])


def test_points_of_waves():
    """Amplitude and phase, found by fitting, fill their ranges; all points are of one wave."""
    x, y = _all(kshot=10, nquery=7, seed=0, count=300, meta_batch=10)
    assert x["support_images"].shape == x["support_labels"].shape == (300, 10, 1)
    assert x["query_images"].shape == y.shape == (300, 7, 1)
    assert {v.dtype for v in (*x.values(), y)} == {np.dtype("float32")}
    found = []
    for places, values, query, answers in zip(*x.values(), y, strict=True):
        # a sin(x - b) = c sin x + d cos x, which is linear.
        def features(points):
            return np.concatenate([np.sin(points), np.cos(points)], axis=1)

        (c, d), *_ = np.linalg.lstsq(features(places), values[:, 0], rcond=None)
        np.testing.assert_allclose(features(query) @ [c, d], answers[:, 0], atol=1e-3)
        found.append((np.hypot(c, d), np.arctan2(-d, c)))
    a, b = np.transpose(found)
    for values, low, high in ((a, 0.1, 5.0), (b, 0.0, np.pi), (x["query_images"], -5.0, 5.0)):
        width = high - low
        assert low - 1e-3 <= values.min() < low + 0.05 * width
        assert high - 0.05 * width < values.max() <= high + 1e-3
        assert np.mean(values) == pytest.approx((low + high) / 2, abs=0.1 * width)


def test_a_pure_function_of_seed_and_number():
    x, y = _all(seed=3, count=6, meta_batch=1)
    for start, batch in ((0, 3), (2, 2), (4, 1)):
        part, answers = _all(seed=3, count=6 - start, start=start, meta_batch=batch)
        np.testing.assert_allclose(answers, y[start:], rtol=1e-6)
        for name, value in part.items():
            np.testing.assert_allclose(value, x[name][start:], rtol=1e-6)
    assert np.abs(_all(seed=4, count=6)[1] - y).max() > 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kshot": 0}, "kshot=0"),
        ({"nquery": 0}, "nquery=0"),
        ({"count": 0}, "count=0"),
        ({"start": -1}, "start=-1"),
        ({"meta_batch": 4}, "count=10 is not a multiple of meta_batch=4"),
    ],
)
def test_bad_numbers(arguments, message):
    with pytest.raises(SettingError, match=message):
        sinusoids(**{"seed": 0, "count": 10, **arguments})
