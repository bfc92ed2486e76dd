"""Random numbers of a seed, the same with XLA and without: those of `tf.random.stateless_...`.

Of TensorFlow's own, XLA makes other ones: it cuts seeds to 32 bits, and makes other floats of bits.
"""

import math

import tensorflow as tf

KEY = 0x02461E29_3EC8F720  # With which TensorFlow scrambles seeds.
PHILOX = 1


def bits(shape, seed):
    """uint32, uniform. Philox (Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405).

    Args:
        shape: list of ints.
        seed: `[2]`, int32 or int64, or a list of two scalars.
    """

    def philox(shape, key, counter):
        return tf.raw_ops.StatelessRandomUniformFullIntV2(
            shape=shape, key=key, counter=counter, alg=PHILOX, dtype=tf.uint32
        )

    seed = tf.bitcast(tf.cast(tf.convert_to_tensor(seed), tf.int64), tf.uint64)
    mixed = philox([4], tf.constant([KEY], tf.uint64), seed)
    key, counter = tf.unstack(tf.bitcast(tf.reshape(mixed, [2, 2]), tf.uint64))
    return philox(shape, key[None], tf.stack([tf.zeros_like(counter), counter]))


def fold_in(seed, number):
    """A seed, int64 `[2]`, made of another one and a number; as `tf.random.fold_in`."""
    first = tf.bitcast(bits([1], seed)[0], tf.int32)
    return tf.stack([tf.cast(first, tf.int64), tf.cast(number, tf.int64)])


def integers(shape, seed, maxval):
    """0 ... maxval - 1, int32."""
    return tf.cast(tf.math.floormod(bits(shape, seed), tf.cast(maxval, tf.uint32)), tf.int32)


def uniform(shape, seed):
    """U[0, 1), float32."""
    return tf.cast(tf.bitwise.bitwise_and(bits(shape, seed), 2**23 - 1), tf.float32) / 2.0**23


def normal(shape, seed):
    """N(0, 1), float32: two of two uniform numbers (Box & Muller 1958).

    https://doi.org/10.1214/aoms/1177706645
    """
    size = math.prod(shape)
    first, second = tf.unstack(uniform([(size + 1) // 2, 2], seed), axis=1)
    radius = tf.sqrt(-2.0 * tf.math.log(tf.maximum(first, 1e-7)))
    angle = 2.0 * math.pi * second
    both = tf.stack([radius * tf.sin(angle), radius * tf.cos(angle)], axis=1)
    return tf.reshape(tf.reshape(both, [-1])[:size], shape)
