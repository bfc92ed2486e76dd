"""Loads classifiers and predicts with them: a program without this package, run by adapt_test.py.

    python load_and_predict.py NAME...

reads images.npy and NAME.keras of the current folder and writes NAME.npy.
"""

import sys

import keras
import numpy as np

if __name__ == "__main__":
    images = np.load("images.npy")
    for name in sys.argv[1:]:
        np.save(f"{name}.npy", keras.models.load_model(f"{name}.keras")(images))
    assert "meta_keras" not in sys.modules
