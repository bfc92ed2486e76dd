"""Tests of described classes and of zero-shot episodes."""

import numpy as np
import pytest

from meta_keras.data import DatasetError, descriptors, glyphs_builder, preparation, strokes
from meta_keras.data.characters import Characters
from meta_keras.data.descriptors import (
    DescribedClasses,
    load_described,
    rotate,
    zero_shot_episodes,
)

CLASSES, DRAWINGS = 7, 5


def described(per_class):
    """Pictures tell class and number; so do descriptors, in their first point."""
    drawings = np.full((CLASSES, DRAWINGS, 2, 2), 255, np.uint8)
    drawings[:, :, 0, 0] = 10 * np.arange(CLASSES)[:, None]
    drawings[:, :, 0, 1] = 20 * np.arange(DRAWINGS)
    points = np.zeros((CLASSES, per_class, 4, 3), np.float32)
    points[:, :, 0, 0] = np.arange(CLASSES)[:, None]
    points[:, :, 0, 1] = np.arange(per_class)
    return DescribedClasses(drawings, points)


def identify(images):
    values = np.rint(images[..., 0, :, 0] * 255).astype(int)
    return values[..., 0] // 10, values[..., 1] // 20


@pytest.mark.parametrize("per_class", [1, DRAWINGS])
def test_episodes(per_class):
    dataset = zero_shot_episodes(described(per_class), 3, 2, seed=0, count=60, meta_batch=2)
    assert dataset.element_spec[0]["descriptors"].shape == (2, 3, 4, 3)
    assert dataset.element_spec[0]["query_images"].shape == (2, 6, 2, 2, 1)
    describing, querying = set(), set()
    for x, y in dataset.as_numpy_iterator():
        np.testing.assert_array_equal(y, [[0, 0, 1, 1, 2, 2]] * 2)
        for points, images in zip(x["descriptors"], x["query_images"], strict=True):
            described_class, drawer = points[:, 0, 0].astype(int), points[:, 0, 1].astype(int)
            query_class, number = identify(images)
            assert len(set(described_class)) == 3
            np.testing.assert_array_equal(query_class, described_class.repeat(2))
            for c in range(3):
                own = number[2 * c : 2 * c + 2].tolist()
                assert len(set(own)) == 2
                # Who describes a class is not asked about their own drawing of it.
                assert per_class == 1 or drawer[c] not in own
            describing |= set(drawer.tolist())
            querying |= set(number.tolist())
    assert describing == set(range(per_class)) and querying == set(range(DRAWINGS))


def test_episode_is_a_pure_function_of_its_number():
    def stream(**arguments):
        return list(zero_shot_episodes(described(1), 3, 2, seed=4, **arguments).as_numpy_iterator())

    for one, other in zip(stream(count=6)[4:], stream(count=2, start=4), strict=True):
        np.testing.assert_array_equal(one[0]["query_images"], other[0]["query_images"])
        np.testing.assert_array_equal(one[0]["descriptors"], other[0]["descriptors"])


def test_too_much_is_asked_for():
    with pytest.raises(ValueError, match="nway=8"):
        zero_shot_episodes(described(1), 8, 1, seed=0, count=1)
    with pytest.raises(ValueError, match="nquery=5 together need 6 pictures a class, there are 5"):
        zero_shot_episodes(described(1), 2, 5, seed=0, count=1)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_descriptors_turn_as_pictures_do(degrees):
    stroke = np.array([[10.0, 20], [60, 20], [60, 90]])
    descriptor = strokes.resample([stroke])
    half = 35  # of the longer side of its box

    def picture(d):
        return strokes.rasterise([s * half + 52.5 for s in strokes.split(d)]).astype(float)

    turned = picture(rotate(descriptor, degrees))
    np.testing.assert_allclose(turned, np.rot90(picture(descriptor), degrees // 90), atol=40)
    assert np.abs(turned - np.rot90(picture(descriptor), 1 + degrees // 90)).max() > 200


@pytest.fixture
def tiny_glyphs(tmp_path, monkeypatch):
    config = glyphs_builder.GlyphsConfig(
        name="tiny", train_alphabets=6, test_alphabets=1, drawers=20
    )
    monkeypatch.setitem(
        preparation.BUILDERS,
        "glyphs",
        lambda data_dir: glyphs_builder.Glyphs(data_dir=data_dir, config=config),
    )
    return tmp_path


def test_glyphs(tiny_glyphs):
    parts = load_described("glyphs", tiny_glyphs)
    # One alphabet of 20 is tested, five are for validation, one is left to train on, four ways up.
    assert [len(parts[p].drawings) for p in ("train", "validation", "test")] == [80, 100, 20]
    for part in parts.values():
        assert part.drawings.shape[1:] == (20, 28, 28)
        assert part.descriptors.shape == (len(part.drawings), 1, descriptors.POINTS, 3)
    # The program, drawn plainly, resembles what drawers made of it more than of other characters.
    traced = np.stack(
        [
            strokes.rasterise([s * 0.3 + 0.5 for s in strokes.split(d[0])], side=1, pen=0.05)
            for d in parts["train"].descriptors
        ]
    ).reshape(80, -1)
    means = parts["train"].drawings.mean(axis=1).reshape(80, -1)
    likeness = np.corrcoef(traced, means)[:80, 80:]
    assert np.mean(likeness.argmax(axis=1) == np.arange(80)) > 0.6
    assert len(load_described("glyphs", tiny_glyphs, rotations=False)["train"].drawings) == 20


def trajectory(seed):
    return [np.random.default_rng(seed).uniform(10, 95, (4, 2)).astype(np.float32)]


@pytest.fixture
def tiny_strokes(monkeypatch):
    """Trajectories of one character of every alphabet, and the drawings made by them, shuffled."""
    names = [f"{alphabet}/character01" for alphabet in strokes.ALPHABETS]
    drawn = {
        name: [trajectory(100 * n + drawer) for drawer in range(20)] for n, name in enumerate(names)
    }
    order = np.random.default_rng(0).permutation(20)
    images = np.array([[strokes.rasterise(drawn[name][d]) for d in order] for name in names])
    loaded = Characters("omniglot", images, np.array(names), np.zeros(8, bool))
    monkeypatch.setattr(strokes, "load_trajectories", lambda *_: drawn)
    monkeypatch.setattr(descriptors, "load_characters", lambda *_: loaded)
    return drawn, order, names


def test_omniglot_strokes(tiny_strokes):
    drawn, order, names = tiny_strokes
    parts = load_described("omniglot_strokes", rotations=False)
    assert [len(parts[p].drawings) for p in ("train", "validation", "test")] == [4, 1, 3]
    test_names = [name for name in names if name.split("/")[0] in descriptors.TEST_ALPHABETS]
    for points, name in zip(parts["test"].descriptors, test_names, strict=True):
        # Descriptor and drawing with the same number are by the same drawer.
        for number in range(20):
            np.testing.assert_array_equal(
                points[number], strokes.resample(drawn[name][order[number]], descriptors.POINTS)
            )
    turned = load_described("omniglot_strokes")
    assert [len(turned[p].drawings) for p in ("train", "validation", "test")] == [16, 1, 3]


def test_zips_of_the_pictures_may_lie_beside_those_of_the_strokes(
    tiny_strokes, tmp_path, monkeypatch
):
    calls = []
    load = descriptors.load_characters
    monkeypatch.setattr(
        descriptors, "load_characters", lambda *arguments: calls.append(arguments) or load()
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "images_background.zip").touch()
    (tmp_path / "only_strokes").mkdir()
    for folder in (None, tmp_path / "only_strokes", tmp_path, "~"):
        load_described("omniglot_strokes", "data", folder)
    assert calls == [("omniglot", "data", folder) for folder in (None, None, tmp_path, "~")]


def test_strokes_of_other_drawings_are_refused(tiny_strokes, monkeypatch):
    drawn, _, names = tiny_strokes
    monkeypatch.setitem(drawn, names[0], [trajectory(5000 + d) for d in range(20)])
    with pytest.raises(DatasetError, match="Balinese/character01 do not fit its drawings"):
        load_described("omniglot_strokes")


def test_unknown_data_set():
    with pytest.raises(ValueError, match="'omniglot'"):
        load_described("omniglot")
