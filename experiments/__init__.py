"""Programs over the recipes of `meta_keras`; each turns flags into one recipe and calls it."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow leaves oneDNN off on processors without AVX-512 VNNI; convolutions gain there too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
