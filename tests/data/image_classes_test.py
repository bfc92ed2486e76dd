"""Tests of classes of pictures of unequal size, in memory and on disk, and their episodes."""

import numpy as np
import pytest

from meta_keras.data import ImageClasses, episodes

SIZES = (5, 3, 9, 4)


@pytest.fixture(scope="module")
def pictures():
    """`(images, labels)`: uint8 `[21, 4, 6, 3]` in mixed order; a picture's red is its number."""
    labels = np.random.default_rng(0).permutation(np.repeat(range(len(SIZES)), SIZES))
    images = np.random.default_rng(1).integers(0, 256, (len(labels), 4, 6, 3), dtype=np.uint8)
    images[..., 0] = np.arange(len(labels))[:, None, None]
    return images, labels


@pytest.fixture(params=["memory", "map"])
def classes(pictures, request, tmp_path):
    images, labels = pictures
    if request.param == "map":
        np.save(tmp_path / "images.npy", images)
        images = np.load(tmp_path / "images.npy", mmap_mode="r")
    return ImageClasses.by_labels(images, labels, list("abcd"))


def drawn(classes, nway, kshot, nquery, **stream):
    """Numbers and classes of all pictures of a stream, `[episodes, N, K + Q]`."""
    found = []
    for x, _ in episodes(classes, nway, kshot, nquery, **stream).as_numpy_iterator():
        parts = [x["support_images"], x["query_images"]]
        parts = [part.reshape(nway, -1, *part.shape[2:]) for part in parts]
        found.append(np.concatenate(parts, axis=1))
    return np.rint(np.array(found)[..., 0, 0, 0] * 255).astype(int)


def test_by_labels(classes, pictures):
    assert classes.counts.tolist() == list(SIZES) and len(classes) == 4
    part = classes.part([2, 0])
    assert part.names.tolist() == ["c", "a"] and part.counts.tolist() == [9, 5]
    for label, places in zip([2, 0], part.places, strict=True):
        assert sorted(places[places >= 0]) == np.flatnonzero(pictures[1] == label).tolist()
    assert part.images is classes.images  # nothing is copied


def test_pictures_without_a_label_are_in_no_class(pictures):
    images, labels = pictures
    classes = ImageClasses.by_labels(images, np.where(labels == 1, -1, labels), list("abcd"))
    assert classes.counts.tolist() == [5, 0, 9, 4]


def test_episodes(classes, pictures):
    images, labels = pictures
    numbers = drawn(classes, 3, 1, 2, seed=0, count=60)
    for episode in numbers:
        of_class = labels[episode]
        assert (of_class == of_class[:, :1]).all() and len(set(of_class[:, 0])) == 3
        assert len(set(episode.ravel())) == 9
    assert set(numbers.ravel()) == set(range(len(images)))  # of the larger classes all, too
    x, _ = next(episodes(classes, 3, 1, 2, seed=0, count=60).as_numpy_iterator())
    assert x["query_images"].dtype == np.float32
    np.testing.assert_array_equal(
        x["support_images"][0], images[numbers[0][:, 0]].astype(np.float32) / np.float32(255)
    )


def test_a_map_gives_the_same_episodes_as_memory(pictures, tmp_path):
    images, labels = pictures
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    streams = [
        list(
            episodes(
                ImageClasses.by_labels(source, labels, list("abcd")),
                3, 1, 2, seed=4, count=4, meta_batch=2, augment="crop_flip_colour",
            ).as_numpy_iterator()
        )
        for source in (images, mapped)
    ]  # fmt: skip
    for (one, _), (other, _) in zip(*streams, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("augment", ["crop_flip", "crop_flip_colour"])
def test_augmented_episodes_are_a_pure_function_of_seed_and_number(classes, augment):
    def stream(**options):
        found = episodes(classes, 2, 1, 2, augment=augment, **options).as_numpy_iterator()
        return [np.concatenate([*x.values()][::2], axis=1) for x, _ in found]

    whole = stream(seed=3, count=6)
    for number, episode in enumerate(stream(seed=3, start=2, count=3)):
        np.testing.assert_array_equal(episode, whole[2 + number])
    plain = list(episodes(classes, 2, 1, 2, seed=3, count=6).as_numpy_iterator())
    assert all(
        (x["query_images"] != episode[:, 2:]).any()
        for (x, _), episode in zip(plain, whole, strict=True)
    )


def test_too_few_pictures_in_one_class(classes):
    with pytest.raises(ValueError, match="together need 4 pictures a class, there are 3"):
        episodes(classes, 2, 1, 3, seed=0, count=1)
    assert drawn(classes.part([0, 2]), 2, 1, 4, seed=0, count=1).shape == (1, 2, 5)


def test_bad_arguments(classes):
    with pytest.raises(ValueError, match="augment=rotate must be one of none, crop_flip"):
        episodes(classes, 2, 1, 1, seed=0, count=1, augment="rotate")
    with pytest.raises(ValueError, match=r"images must be uint8 \[n, H, W, C\], got float64"):
        ImageClasses(np.zeros((3, 4, 4, 3)), np.zeros((1, 3), np.int32))
