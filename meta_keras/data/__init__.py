"""Character data sets, sine waves, and the few-shot episodes drawn from them."""

from meta_keras.data.characters import Characters, load_characters
from meta_keras.data.episodes import episodes, sample_episode
from meta_keras.data.folder import load_folder
from meta_keras.data.ink import read_picture
from meta_keras.data.preparation import choose_dataset, prepare
from meta_keras.data.sinusoid import sample_sinusoid, sinusoids
from meta_keras.data.splits import gather_classes, split_classes
from meta_keras.errors import DatasetError, PictureError

__all__ = [
    "Characters",
    "DatasetError",
    "PictureError",
    "choose_dataset",
    "episodes",
    "gather_classes",
    "load_characters",
    "load_folder",
    "prepare",
    "read_picture",
    "sample_episode",
    "sample_sinusoid",
    "sinusoids",
    "split_classes",
]
