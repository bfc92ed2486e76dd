"""Random numbers of a seed that are the same on every device, with XLA and without.

TensorFlow's own choice of an algorithm is another one in what XLA compiles.
"""

import functools

import tensorflow as tf

fold_in = functools.partial(tf.random.fold_in, alg="philox")
normal = functools.partial(tf.random.stateless_normal, alg="philox")
uniform = functools.partial(tf.random.stateless_uniform, alg="philox")
