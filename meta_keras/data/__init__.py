"""Data sets of characters and photographs, sine waves, and few-shot episodes of them."""

from meta_keras.data.characters import Characters, load_characters
from meta_keras.data.episodes import episodes, sample_episode
from meta_keras.data.folder import large_enough, load_folder, load_photograph_folder
from meta_keras.data.half_tones import HALF_TONES, half_tones
from meta_keras.data.image_classes import ImageClasses
from meta_keras.data.ink import read_picture
from meta_keras.data.photograph_sets import load_photographs
from meta_keras.data.photographs import read_photograph
from meta_keras.data.preparation import choose_dataset, prepare
from meta_keras.data.sinusoid import sample_sinusoid, sinusoids
from meta_keras.data.splits import gather_classes, split_classes, split_named
from meta_keras.errors import DatasetError, PictureError

__all__ = [
    "HALF_TONES",
    "Characters",
    "DatasetError",
    "ImageClasses",
    "PictureError",
    "choose_dataset",
    "episodes",
    "gather_classes",
    "half_tones",
    "large_enough",
    "load_characters",
    "load_folder",
    "load_photograph_folder",
    "load_photographs",
    "prepare",
    "read_photograph",
    "read_picture",
    "sample_episode",
    "sample_sinusoid",
    "sinusoids",
    "split_classes",
    "split_named",
]
