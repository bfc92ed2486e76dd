"""What several tests share: tiny networks, tiny episodes, and the papers' equations in NumPy."""

import fcntl
import gc
import hashlib
import importlib.metadata
import os
import pathlib
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.data import load_characters
from meta_keras.training import runtime

# What this process's TensorFlow started with: importing a program may add to it.
ENVIRONMENT = dict(os.environ)
REPOSITORY = pathlib.Path(__file__).resolve().parents[1]


def pytest_collection_finish():
    """What the imports have left stays, and need not be searched for garbage again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def environment():
    """The environment for another process that must compute the same, bit for bit."""
    return ENVIRONMENT


@pytest.fixture(scope="session")
def omniglot_dir():
    """A TFDS folder in which Omniglot is prepared."""
    folders = [
        os.environ.get("META_KERAS_DATA_DIR"),
        REPOSITORY.parent / "shared" / "tfds",
        pathlib.Path("~/tensorflow_datasets").expanduser(),
    ]
    for folder in filter(None, folders):
        if (pathlib.Path(folder) / "omniglot" / "3.0.0" / "dataset_info.json").is_file():
            return str(folder)
    pytest.skip("no prepared Omniglot (name its TFDS folder in META_KERAS_DATA_DIR)")


@pytest.fixture(scope="session")
def strokes_dir():
    """A folder with the official zips of Omniglot's pen trajectories."""
    folders = [
        os.environ.get("META_KERAS_STROKES_DIR"),
        REPOSITORY.parent / "shared" / "strokes",
        pathlib.Path("~/tensorflow_datasets/downloads/manual").expanduser(),
    ]
    for folder in filter(None, folders):
        if (pathlib.Path(folder) / "strokes_background_small1.zip").is_file():
            return str(folder)
    pytest.skip("no strokes_background zips (name their folder in META_KERAS_STROKES_DIR)")


@pytest.fixture(scope="session")
def glyphs_dir():
    """A TFDS folder in which glyphs is prepared: once for all processes, and for runs to come.

    The folder is named by all that decides its content.
    """
    package = REPOSITORY / "meta_keras" / "data"
    digest = hashlib.sha256(importlib.metadata.version("tensorflow-datasets").encode())
    for file in ("glyphs.py", "glyphs_builder.py", "preparation.py"):
        digest.update((package / file).read_bytes())
    every = REPOSITORY / "build" / "tests"
    folder = every / f"glyphs-{digest.hexdigest()[:12]}"
    every.mkdir(parents=True, exist_ok=True)
    with open(every / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for other in every.glob("glyphs-*"):
            if other != folder:
                shutil.rmtree(other)
        load_characters("glyphs", folder)
    return str(folder)


@pytest.fixture(scope="session")
def any_data(request):
    """`(data set, TFDS folder)`: Omniglot where it is prepared, else glyphs."""
    try:
        return "omniglot", request.getfixturevalue("omniglot_dir")
    except pytest.skip.Exception:
        return "glyphs", request.getfixturevalue("glyphs_dir")


@pytest.fixture
def plain_runtime(monkeypatch):
    """Runs in this process seed everything, but change nothing else of TensorFlow's."""

    def set_up(seed, *_, **__):
        keras.utils.set_random_seed(seed)

    monkeypatch.setattr(runtime, "set_up", set_up)


@pytest.fixture
def eagerly():
    """Without graphs: tracing them would take longer than the few episodes do."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def make_network():
    """Function that builds a tiny network: 6x6 pictures, one convolution, N logits."""

    def make(batch_norm=True, classes=3, dtype="float64", activation="tanh"):
        images = keras.Input((6, 6, 1))
        x = keras.layers.Conv2D(2, 3, strides=2, dtype=dtype)(images)
        if batch_norm:
            x = keras.layers.BatchNormalization(momentum=0.6, dtype=dtype)(x)
        x = keras.layers.Activation(activation, dtype=dtype)(x)
        x = keras.layers.Flatten(dtype=dtype)(x)
        return _randomized(keras.Model(images, keras.layers.Dense(classes, dtype=dtype)(x)))

    return make


def _randomized(network):
    # Nothing may sit at a value (0 or 1) at which a mistake could cancel out.
    rng = np.random.default_rng(5)
    for variable in network.trainable_variables:
        mean = 1.0 if variable.name == "gamma" else 0.0
        variable.assign(rng.normal(mean, 0.4, variable.shape))
    for variable in network.non_trainable_variables:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return network


@pytest.fixture
def make_embedding():
    """Function that builds a tiny embedding network: 6x6 pictures to four numbers, or 2x2x2."""

    def make(batch_norm=True, maps=False, dtype="float64"):
        images = keras.Input((6, 6, 1), dtype=keras.DTypePolicy(dtype).variable_dtype)
        x = keras.layers.Conv2D(2, 3, strides=2, dtype=dtype)(images)
        if batch_norm:
            x = keras.layers.BatchNormalization(momentum=0.6, dtype=dtype, name="norm")(x)
        x = keras.layers.Activation("tanh", dtype=dtype)(x)
        if not maps:
            x = keras.layers.Dense(4, dtype=dtype)(keras.layers.Flatten(dtype=dtype)(x))
        return _randomized(keras.Model(images, x, name="embedding"))

    return make


@pytest.fixture
def make_relation():
    """Function that builds a tiny relation module for the feature maps of `make_embedding`."""

    def make(dtype="float64"):
        pairs = keras.Input((2, 2, 4), dtype=keras.DTypePolicy(dtype).variable_dtype)
        x = keras.layers.Conv2D(3, 2, dtype=dtype)(pairs)
        x = keras.layers.BatchNormalization(momentum=0.6, dtype=dtype)(x)
        x = keras.layers.Activation("tanh", dtype=dtype)(x)
        x = keras.layers.Dense(1, dtype=dtype)(keras.layers.Flatten(dtype=dtype)(x))
        return _randomized(keras.Model(pairs, x, name="relation"))

    return make


@pytest.fixture
def make_episodes():
    """Function that builds a batch of random episodes (x, y) of 6x6 pictures, in NumPy."""

    def make(batch=1, classes=3, kshot=2, nquery=2, dtype="float64", seed=0):
        rng = np.random.default_rng(seed)

        def pictures(per_class):
            shape = (batch, classes * per_class, 6, 6, 1)
            return (rng.uniform(-1, 1, shape) + prototypes.repeat(per_class, 1)).astype(dtype)

        def labels(per_class):
            return np.tile(np.arange(classes, dtype="int32").repeat(per_class), (batch, 1))

        prototypes = rng.uniform(-1, 1, (batch, classes, 6, 6, 1))
        x = {
            "support_images": pictures(kshot),
            "support_labels": labels(kshot),
            "query_images": pictures(nquery),
        }
        return x, labels(nquery)

    return make


@pytest.fixture
def randomize_cell():
    """Function that gives a `GatedLSTMCell` weights at which every term of it matters."""

    def randomize(cell, scale=0.5, seed=3):
        rng = np.random.default_rng(seed)
        for variable in cell.trainable_variables:
            variable.assign(scale * rng.normal(size=variable.shape))
        cell.input_gate_bias.assign(-1.5)
        cell.forget_gate_bias.assign(2.0)

    return randomize


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _log_and_sign(x, p=10.0):
    """[rows] -> [rows, 2], entry by entry."""
    features = [
        (np.log(abs(entry)) / p, np.sign(entry))
        if abs(entry) >= np.exp(-p)
        else (-1.0, np.exp(p) * entry)
        for entry in x
    ]
    return np.array(features)


def _gated_lstm_step(weights, gradient, loss, theta, state):
    """Ravi & Larochelle 2017, section 3.1, a row per coordinate.

    Args:
        weights: dict from the names of a `GatedLSTMCell`'s weights to arrays.
        gradient, theta: `[P]`.
        loss: scalar.
        state: dict of `h`, `c` `[P, units]` and `i`, `f` `[P]`; None before the first step.

    Returns:
        `(theta, state)` after the step.
    """
    size, units = len(theta), weights["bias"].size // 4
    if state is None:
        nothing = np.zeros((size, units))
        state = {"h": nothing, "c": nothing, "i": np.zeros(size), "f": np.zeros(size)}
    x = np.concatenate([_log_and_sign(gradient), _log_and_sign(np.full(size, loss))], axis=1)
    z = np.concatenate([x, state["h"]], axis=1) @ weights["kernel"] + weights["bias"]
    lstm_i, lstm_f, lstm_g, lstm_o = (z[:, gate * units : (gate + 1) * units] for gate in range(4))
    c = _sigmoid(lstm_f) * state["c"] + _sigmoid(lstm_i) * np.tanh(lstm_g)
    h = _sigmoid(lstm_o) * np.tanh(c)
    h_theta_i = np.concatenate([h, theta[:, None], state["i"][:, None]], axis=1)
    h_theta_f = np.concatenate([h, theta[:, None], state["f"][:, None]], axis=1)
    i = _sigmoid(h_theta_i @ weights["input_gate_kernel"] + weights["input_gate_bias"])
    f = _sigmoid(h_theta_f @ weights["forget_gate_kernel"] + weights["forget_gate_bias"])
    return f * theta - i * gradient, {"h": h, "c": c, "i": i, "f": f}


@pytest.fixture(scope="session")
def log_and_sign_reference():
    return _log_and_sign


@pytest.fixture(scope="session")
def gated_lstm_reference():
    return _gated_lstm_step
