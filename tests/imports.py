"""Run in a fresh process: what the package loads, and that it does without the rest."""

import sys

BLOCKED = "matplotlib", "tensorflow_datasets"


def check_free():
    """TFDS is not loaded, nor are the pictures (Keras itself may load matplotlib)."""
    import meta_keras

    assert meta_keras.unroll
    assert not {"tensorflow_datasets", "meta_keras.plots"} & set(sys.modules)


def check_blocked():
    """All but plots and recipes is there, and a learner works, where neither can be imported."""
    sys.modules.update(dict.fromkeys(BLOCKED))
    import numpy as np

    import meta_keras
    from meta_keras import recognition

    for name in {*meta_keras.__all__} - {"plots", "recipes"}:
        public = getattr(meta_keras, name)
        for inner in getattr(public, "__all__", ()):
            assert getattr(public, inner) is not None
    drawings = np.random.default_rng(0).integers(1, 255, (6, 4, 28, 28), np.uint8)
    x, _ = next(iter(meta_keras.data.episodes(drawings, 5, 1, 3, seed=0, count=1)))
    learner, size = recognition.load_learner("prototypical_omniglot", 5)
    assert learner.predict_on_batch(x).shape == (1, 15, 5) and size == 28
    assert all(sys.modules[name] is None for name in BLOCKED)


if __name__ == "__main__":
    {"free": check_free, "blocked": check_blocked}[sys.argv[1]]()
