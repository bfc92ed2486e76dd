"""Tests of invented characters and their drawings."""

import numpy as np
import pytest

from meta_keras.data import glyphs

CLASSES = 60


@pytest.fixture(scope="module")
def programs():
    return glyphs.character_programs(0, CLASSES)


@pytest.fixture(scope="module")
def drawings(programs):
    """Drawings of the first classes: uint8 [20 classes, 5 drawers, 105, 105]."""
    return np.stack([[_draw(programs, i, drawer) for drawer in range(5)] for i in range(20)])


def _draw(programs, class_id, drawer, seed=0):
    strokes, counts = programs
    return glyphs.draw(strokes[class_id, : counts[class_id]], seed, class_id, drawer)


def _shrunk(images):
    """Averages 5x5 blocks and flattens: float [..., 441]."""
    blocks = images.reshape(*images.shape[:-2], 21, 5, 21, 5).mean(axis=(-3, -1))
    return blocks.reshape(*images.shape[:-2], -1) / 255


def test_programs_have_their_shape_and_padding(programs):
    strokes, counts = programs
    assert strokes.shape == (CLASSES, 4, 10, 2) and strokes.dtype == np.float32
    assert counts.shape == (CLASSES,) and counts.dtype == np.int64
    assert counts.min() >= 1 and counts.max() <= 4 and len(set(counts.tolist())) > 2
    assert strokes.min() >= 0 and strokes.max() <= 1
    used = np.arange(4) < counts[:, None]
    assert (strokes[~used] == 0).all()
    assert (np.abs(strokes[used]).sum(axis=(1, 2)) > 0).all()


def test_programs_are_a_function_of_the_seed(programs):
    glyphs.character_programs.cache_clear()
    again = glyphs.character_programs(0, CLASSES)
    np.testing.assert_array_equal(again[0], programs[0])
    np.testing.assert_array_equal(again[1], programs[1])
    other = glyphs.character_programs(1, CLASSES)
    assert not np.isclose(other[0][:, 0], programs[0][:, 0]).all(axis=(1, 2)).any()


def test_fewer_classes_are_a_prefix(programs):
    strokes, counts = glyphs.character_programs(0, 25)
    np.testing.assert_array_equal(strokes, programs[0][:25])
    np.testing.assert_array_equal(counts, programs[1][:25])


def test_programs_cannot_be_overwritten(programs):
    with pytest.raises(ValueError, match="read-only"):
        programs[0][0] = 0


def test_trace_passes_through_the_control_points(programs):
    strokes = programs[0][0, : programs[1][0]]
    path = glyphs.trace(strokes)
    assert path.shape == (len(strokes), 108, 2)
    np.testing.assert_allclose(path[:, ::12], strokes[:, :-1], atol=1e-6)


def test_trace_keeps_straight_lines_straight():
    line = np.linspace([0.2, 0.1], [0.8, 0.4], 10)[None]
    path = glyphs.trace(line)[0]
    np.testing.assert_allclose(path[:, 1], path[:, 0] / 2, atol=1e-12)


def test_drawings_do_not_depend_on_order(programs):
    pairs = [(i, drawer) for i in range(8) for drawer in range(3)]
    forward = {pair: _draw(programs, *pair) for pair in pairs}
    for pair in reversed(pairs):
        np.testing.assert_array_equal(_draw(programs, *pair), forward[pair])


def test_drawings_differ_by_seed_class_and_drawer(programs):
    image = _draw(programs, 3, 0)
    assert (_draw(programs, 3, 1) != image).any()
    assert (_draw(programs, 3, 0, seed=1) != image).any()
    strokes = programs[0][3, : programs[1][3]]
    assert (glyphs.draw(strokes, 0, 4, 0) != image).any()


def test_drawings_are_black_ink_on_white_paper(drawings):
    assert drawings.shape[2:] == (105, 105) and drawings.dtype == np.uint8
    assert set(np.unique(drawings)) == {0, 255}
    ink = (drawings == 0).mean(axis=(2, 3))
    assert ink.min() > 0.01 and ink.max() < 0.3


def test_drawings_stay_on_the_sheet():
    strokes = np.linspace([-0.5, 0.2], [1.5, 0.9], 10)[None]  # Much too large.
    for drawer in range(20):
        ink = glyphs.draw(strokes, 0, 0, drawer) == 0
        assert ink.any()
        assert not ink[0].any() and not ink[-1].any()
        assert not ink[:, 0].any() and not ink[:, -1].any()


def test_classes_are_distinct(programs):
    strokes, _ = programs
    images = np.stack([_draw(programs, i, 0) for i in range(CLASSES)]).reshape(CLASSES, -1)
    assert len(np.unique(images, axis=0)) == CLASSES
    flat = strokes.reshape(CLASSES, -1)
    gaps = np.abs(flat[:, None] - flat[None]).max(axis=-1) + np.eye(CLASSES)
    assert gaps.min() > 0.02


def test_drawings_resemble_their_class(drawings):
    x = _shrunk(drawings)
    gaps = np.linalg.norm(x[:, :, None, None] - x[None, None], axis=-1)
    same = np.eye(len(x), dtype=bool)
    within = gaps.transpose(0, 2, 1, 3)[same].sum() / (len(x) * 5 * 4)
    between = gaps.transpose(0, 2, 1, 3)[~same].mean()
    assert within < 0.95 * between


@pytest.mark.parametrize("shape", [(10, 2), (0, 10, 2), (2, 1, 2), (2, 10, 3)])
def test_draw_rejects_other_shapes(shape):
    with pytest.raises(ValueError, match="strokes must have shape"):
        glyphs.draw(np.full(shape, 0.5), 0, 0, 0)


def test_programs_need_a_class():
    with pytest.raises(ValueError, match="classes"):
        glyphs.character_programs(0, 0)
