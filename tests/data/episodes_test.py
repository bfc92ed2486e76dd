"""Tests of the episodes. Every drawing carries its class and its number in two pixels."""

import collections

import numpy as np
import pytest

from meta_keras.data.episodes import episodes

CLASSES, DRAWINGS = 8, 6


@pytest.fixture(scope="module")
def drawings():
    """uint8 `[CLASSES, DRAWINGS, 2, 3]`."""
    images = np.full((CLASSES, DRAWINGS, 2, 3), 255, np.uint8)
    images[:, :, 0, 0] = 10 * np.arange(CLASSES)[:, None]
    images[:, :, 1, 2] = 20 * np.arange(DRAWINGS)
    return images


def _identify(images):
    """Pictures `[..., 2, 3, 1]` to `(class, number of the drawing)`."""
    assert images.dtype == np.float32
    assert images[..., 0, 1, 0].min() == images[..., 0, 1, 0].max() == 1.0
    return (
        np.rint(images[..., 0, 0, 0] * 255 / 10).astype(int),
        np.rint(images[..., 1, 2, 0] * 255 / 20).astype(int),
    )


def _episodes(drawings, nway=3, kshot=2, nquery=3, seed=0, **kwargs):
    """Single episodes, each a list of arrays: support and query images, their labels."""
    dataset = episodes(drawings, nway, kshot, nquery, seed=seed, **kwargs)
    return [
        episode
        for x, y in dataset.as_numpy_iterator()
        for episode in zip(
            x["support_images"], x["query_images"], x["support_labels"], y, strict=True
        )
    ]


def _same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_shapes_and_types(drawings):
    dataset = episodes(drawings, 3, 2, 4, seed=0, count=4, meta_batch=2)
    (x, y), *_ = batches = list(dataset.as_numpy_iterator())
    assert len(batches) == 2
    assert x["support_images"].shape == (2, 6, 2, 3, 1)
    assert x["query_images"].shape == (2, 12, 2, 3, 1)
    assert x["support_labels"].shape == (2, 6)
    assert y.shape == (2, 12)
    assert x["support_labels"].dtype == y.dtype == np.int32
    # Static shapes let a learner unroll its loops.
    assert dataset.element_spec[0]["support_images"].shape == (2, 6, 2, 3, 1)


def test_content(drawings):
    for support, query, support_labels, query_labels in _episodes(drawings, count=40):
        support_class, support_drawing = _identify(support)
        query_class, query_drawing = _identify(query)
        assert collections.Counter(support_labels.tolist()) == {0: 2, 1: 2, 2: 2}
        assert collections.Counter(query_labels.tolist()) == {0: 3, 1: 3, 2: 3}
        # Every label stands for one class, the same in support and query, and for no other.
        class_of = dict(zip(support_labels.tolist(), support_class.tolist(), strict=True))
        assert len(set(class_of.values())) == 3
        assert [class_of[label] for label in support_labels.tolist()] == support_class.tolist()
        assert [class_of[label] for label in query_labels.tolist()] == query_class.tolist()
        # No drawing occurs twice, neither inside a part nor in both.
        used = [*zip(support_class, support_drawing, strict=True)]
        used += [*zip(query_class, query_drawing, strict=True)]
        assert len(set(used)) == len(used) == 15


def test_everything_there_is_can_be_used(drawings):
    (episode,) = _episodes(drawings, nway=CLASSES, kshot=2, nquery=DRAWINGS - 2, count=1)
    support, query = (zip(*_identify(images), strict=True) for images in episode[:2])
    assert len({*support, *query}) == CLASSES * DRAWINGS


def test_pure_function_of_seed_and_index(drawings):
    whole = _episodes(drawings, count=12)
    for start, count, meta_batch in ((0, 12, 4), (5, 6, 1), (5, 6, 3), (11, 1, 1)):
        part = _episodes(drawings, count=count, start=start, meta_batch=meta_batch)
        assert len(part) == count
        assert all(map(_same, part, whole[start : start + count]))


def test_no_episode_of_a_stream_recurs_in_it_or_in_another(drawings):
    contents = [
        episode[0].tobytes() + episode[1].tobytes()
        for seed in range(5)
        for episode in _episodes(drawings, seed=seed, count=12)
    ]
    assert len(set(contents)) == len(contents)


def test_uniform(drawings):
    count, nway, per_class = 600, 3, 2
    dataset = episodes(drawings, nway, 1, per_class - 1, seed=9, count=count, meta_batch=50)
    classes, numbers = np.zeros((nway, CLASSES)), np.zeros((2, DRAWINGS))
    for x, _ in dataset.as_numpy_iterator():
        support, query = _identify(x["support_images"]), _identify(x["query_images"])
        for label in range(nway):
            classes[label] += np.bincount(support[0][:, label], minlength=CLASSES)
        for part, (_, drawing) in enumerate((support, query)):
            numbers[part] += np.bincount(drawing.ravel(), minlength=DRAWINGS)
    # Within five standard deviations of the mean, for every label and for either part.
    for counts, draws in ((classes, count), (numbers, count * nway)):
        p = 1 / counts.shape[1]
        assert np.abs(counts - draws * p).max() < 5 * np.sqrt(draws * p * (1 - p))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nway": 0}, "nway=0"),
        ({"kshot": 0}, "kshot=0"),
        ({"nquery": -1}, "nquery=-1"),
        ({"meta_batch": 0}, "meta_batch=0"),
        ({"count": 0}, "count=0"),
        ({"start": -1}, "start=-1"),
        ({"nway": CLASSES + 1}, f"nway={CLASSES + 1} .* {CLASSES} classes"),
        ({"kshot": 4, "nquery": 3}, f"kshot=4 and nquery=3 .* {DRAWINGS}"),
        ({"count": 5, "meta_batch": 2}, "count=5 .* meta_batch=2"),
    ],
)
def test_bad_arguments(drawings, change, message):
    arguments = {"nway": 2, "kshot": 1, "nquery": 1, "seed": 0, "count": 4, **change}
    with pytest.raises(ValueError, match=message):
        episodes(drawings, **arguments)


@pytest.mark.parametrize("change", [lambda d: d / 255, lambda d: d[..., None]])
def test_drawings_of_another_kind(drawings, change):
    with pytest.raises(ValueError, match=r"uint8 \[classes, drawings a class, H, W\]"):
        episodes(change(drawings), 2, 1, 1, seed=0, count=1)
