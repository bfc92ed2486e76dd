"""Tests of what training pictures undergo, against a second way to do it in NumPy."""

import numpy as np
import tensorflow as tf

from meta_keras.data.augmentation import colour, crop_flip

SEED = tf.constant([3, 8], tf.int64)


def possible(image):
    """All pictures that shifts by an eighth and mirroring can make of one."""
    height, width, _ = image.shape
    high, wide = height // 8, width // 8
    padded = np.pad(image, ((high, high), (wide, wide), (0, 0)), "reflect")
    for top in range(2 * high + 1):
        for left in range(2 * wide + 1):
            crop = padded[top : top + height, left : left + width]
            yield (top, left, 0), crop
            yield (top, left, 1), crop[:, ::-1]


def test_crop_flip():
    images = np.random.default_rng(0).integers(0, 256, (300, 9, 17, 2), dtype=np.uint8)
    moved = crop_flip(images, SEED).numpy()
    assert moved.dtype == np.uint8 and moved.shape == images.shape
    found = []
    for image, result in zip(images, moved, strict=True):
        ways = [way for way, other in possible(image) if (other == result).all()]
        assert len(ways) == 1  # one of the pictures that may come of it
        found += ways
    counts = {way: found.count(way) for way in set(found)}
    assert len(counts) == 3 * 5 * 2  # every shift in both directions, mirrored or not
    expected = len(found) / len(counts)
    assert max(counts.values()) < expected + 5 * expected**0.5
    np.testing.assert_array_equal(moved, crop_flip(images, SEED))
    assert (moved != crop_flip(images, SEED + 1).numpy()).any()


def test_colour():
    images = np.float32(np.random.default_rng(0).uniform(0.3, 0.6, (40, 5, 4, 3)))
    changed = colour(tf.constant(images), SEED).numpy()
    b, c, s = tf.random.stateless_uniform([3, 40, 1, 1, 1], SEED, 0.6, 1.4).numpy()
    weights = np.array([0.2989, 0.587, 0.114])

    def grey(x):
        return (x @ weights)[..., None]

    x = b * images.astype(float)
    mean = grey(x).mean(axis=(1, 2), keepdims=True)
    x = mean + c * (x - mean)
    x = np.clip(grey(x) + s * (x - grey(x)), 0, 1)
    np.testing.assert_allclose(changed, x, atol=1e-5)
    assert np.abs(changed - images).max() > 0.1
