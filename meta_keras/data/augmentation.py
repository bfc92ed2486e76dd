"""What training pictures undergo at random; classes stay what they are."""

import tensorflow as tf

SHIFT = 8  # Pictures are shifted by at most this part of a side.
COLOUR = 0.4  # Brightness, contrast and saturation change by at most this share.


def crop_flip(images, seed):
    """Shifts and mirrors pictures at random, each for itself.

    A picture is shifted by up to an eighth of its sides, as a crop of it with such a margin would
    be (4 pixels of 32, [He et al. 2016](https://arxiv.org/abs/1512.03385), section 4.2); what
    comes in at an edge mirrors what is there. Half of the pictures are mirrored from left to right.

    Args:
        images: uint8 or float `[n, H, W, C]`.
        seed: int64 `[2]`; the result is a pure function of it and the pictures.

    Returns:
        As `images`.
    """
    n, height, width, _ = images.shape
    which = [tf.random.fold_in(seed, number) for number in range(3)]
    rows = _window(height, n, which[0])
    columns = _window(width, n, which[1])
    flipped = tf.random.stateless_uniform([n, 1], which[2]) < 0.5
    columns = tf.where(flipped, columns[:, ::-1], columns)
    shifted = tf.gather(images, rows, axis=1, batch_dims=1)
    return tf.gather(shifted, columns, axis=2, batch_dims=1)


def _window(side, n, seed):
    """The places `[n, side]` in a row of pixels that a shifted picture shows."""
    most = side // SHIFT
    shift = tf.random.stateless_uniform([n, 1], seed, -most, most + 1, tf.int32)
    places = tf.abs(tf.range(side) + shift)  # 2 1 0 1 2 ...
    return tf.minimum(places, 2 * (side - 1) - places)


def colour(images, seed):
    """Changes brightness, contrast and saturation of every picture at random.

    Each by a factor of its own from 0.6 to 1.4: `b x`, then `m + c (x - m)` with the mean `m` of
    the picture's grey, then `g + s (x - g)` with the grey `g` of every pixel, as the jitter of
    [Krizhevsky et al. 2012](https://papers.nips.cc/paper/4824)'s followers.

    Args:
        images: float32 `[n, H, W, 3]` in [0, 1].
        seed: int64 `[2]`.

    Returns:
        float32 `[n, H, W, 3]` in [0, 1].
    """
    shape = [3, images.shape[0], 1, 1, 1]
    b, c, s = tf.unstack(tf.random.stateless_uniform(shape, seed, 1 - COLOUR, 1 + COLOUR))
    images = images * b
    mean = tf.reduce_mean(tf.image.rgb_to_grayscale(images), axis=[1, 2], keepdims=True)
    images = mean + c * (images - mean)
    grey = tf.image.rgb_to_grayscale(images)
    return tf.clip_by_value(grey + s * (images - grey), 0.0, 1.0)
