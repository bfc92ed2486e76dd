"""How TensorFlow runs a training."""

import os
import types
import warnings

import keras
import tensorflow as tf

from meta_keras.errors import SettingError

_process = types.SimpleNamespace(deterministic=False)


def set_up(seed, meta_batch=None, jit_compile=False):
    """Seeds everything random and makes operations deterministic.

    Args:
        seed: of Python's, NumPy's and Keras' random numbers.
        meta_batch: episodes that should run side by side; threads are divided among them, if
            TensorFlow has not started them yet.
        jit_compile: whether steps are compiled with XLA. Keras refuses XLA beside deterministic
            operations, and XLA on a CPU is deterministic.

    These are settings of the whole process.

    Raises:
        SettingError: XLA is asked for where operations are deterministic already.
    """
    warnings.filterwarnings("ignore", message=".*shuffle=True.*")
    if meta_batch:
        _divide_threads(meta_batch)
    if jit_compile and _process.deterministic:
        raise SettingError(
            "jit_compile=True needs a process of its own: an earlier run has made operations "
            "deterministic, beside which Keras does without XLA."
        )
    if not jit_compile:
        tf.config.experimental.enable_op_determinism()
        _process.deterministic = True
    keras.utils.set_random_seed(seed)


def _divide_threads(meta_batch):
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        tf.config.threading.set_intra_op_parallelism_threads(max(1, cores // meta_batch))
        tf.config.threading.set_inter_op_parallelism_threads(max(2, cores))
    except RuntimeError:  # They are running: in a longer session they stay as they are.
        return
