"""Character data sets and the few-shot episodes drawn from them."""

from meta_keras.data.characters import (
    Characters,
    DatasetError,
    choose_dataset,
    load_characters,
    prepare,
)
from meta_keras.data.episodes import episodes, sample_episode
from meta_keras.data.folder import load_folder
from meta_keras.data.ink import PictureError, read_picture
from meta_keras.data.splits import gather_classes, split_classes

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
    "split_classes",
]
