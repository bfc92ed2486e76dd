"""The data of few-shot recipes: what they need of it, and loading it."""

import hashlib

import numpy as np
from absl import logging

from meta_keras import data
from meta_keras.errors import SettingError
from meta_keras.recipes.episodic import EpisodeData

DRAWINGS = 20  # of a character


def check(recipe):
    """Refuses settings of a `FewShotRecipe` that no data will fit.

    Raises:
        SettingError: they do not fit together.
    """
    if recipe.split == "vinyals" and not recipe.split_dir:
        raise SettingError(
            "split=vinyals needs `split_dir`, the folder with train.txt, val.txt and test.txt."
        )
    if recipe.dataset == "folder" and (not recipe.data_dir or recipe.split != "random"):
        raise SettingError(
            "dataset=folder needs `data_dir`, the folder with the class folders, and split=random."
        )
    for part, names in (
        ("train", "`train_kshot` (or `kshot`) plus `nquery`"),
        ("test", "`kshot` plus `test_nquery`"),
    ):
        pictures = sum(recipe.shots(part))
        if recipe.dataset != "folder" and pictures > DRAWINGS:
            raise SettingError(
                f"{names} must be at most {DRAWINGS}, the drawings of a character, not {pictures}."
            )


def load(recipe, begun_with=None):
    """The `EpisodeData` of a `FewShotRecipe`, see `EpisodicRecipe.load_data`."""
    dataset, reason = recipe.dataset, "asked for"
    if dataset == "auto":
        if begun_with:
            dataset, reason = begun_with, "The run began with it."
        else:
            dataset, reason = data.choose_dataset(recipe.data_dir, recipe.manual_dir)
        if dataset == "glyphs":
            logging.warning("Using the built-in data set glyphs: %s", reason)
    if dataset == "folder":
        needed, because = pictures_needed(recipe)
        characters = data.load_folder(recipe.data_dir, at_least=needed, because=because)
    else:
        characters = data.load_characters(dataset, recipe.data_dir, recipe.manual_dir)
    try:
        split = data.split_classes(characters, recipe.split, recipe.rotations, recipe.split_dir)
        if dataset == "folder" and recipe.rotations:
            # The accuracy is to be that on the user's classes. Some look the same when turned.
            split = data.split_classes(characters, rotations=False) | {"train": split["train"]}
            reason += "; rotations are further classes in training only"
    except ValueError as error:
        raise SettingError(str(error)) from error
    train_nway = training_classes(recipe, len(split["train"]), dataset)
    for part, classes in split.items():
        nway = train_nway if part == "train" else recipe.nway
        if nway > len(classes):
            name = "nway" if nway == recipe.nway else "train_nway"
            shares, wanted = "", ""
            if dataset == "folder" and part != "train":
                shares = ", 1/5 of all"
                _, because = pictures_needed(recipe)
                wanted = (
                    f" The folder has {len(characters.names)} classes with enough pictures "
                    f"({because}); lower `{name}`, or have about {5 * nway} of them."
                )
            raise SettingError(
                f"{name}={nway} is more than the {len(classes)} classes of the {part} part of "
                f"{dataset} (split={recipe.split}{shares}).{wanted}"
            )
    parts = {part: data.gather_classes(characters, classes) for part, classes in split.items()}
    # A user's own pictures may change between two starts.
    identity = {"pictures": fingerprint(parts)} if dataset == "folder" else {}
    return EpisodeData(parts, dataset, reason, train_nway, identity)


def training_classes(recipe, classes, dataset):
    """N of a training episode: all classes there are where a method's own default asks for more."""
    wanted = recipe.train_nway or recipe.nway
    if "train_nway" in recipe.given or not wanted > classes >= recipe.nway:
        return wanted
    logging.warning(
        "Training episodes have all %d training classes of %s, not %d as is the default of %s.",
        classes, dataset, wanted, recipe.name,
    )  # fmt: skip
    return classes


def pictures_needed(recipe):
    """How many pictures a class must have, and for messages which settings decide that."""
    train = "train_kshot" if recipe.train_kshot else "kshot"
    names = max(
        ((train, "nquery"), ("kshot", "test_nquery")),
        key=lambda names: sum(getattr(recipe, name) for name in names),
    )
    kshot, nquery = (getattr(recipe, name) for name in names)
    lower = names[1] if nquery > 1 else names[0]
    return kshot + nquery, f"= {names[0]}={kshot} + {names[1]}={nquery}; lower `{lower}`"


def fingerprint(parts):
    """Names the very drawings of all parts."""
    digest = hashlib.sha256()
    for part, drawings in parts.items():
        digest.update(f"{part} {drawings.shape}".encode())
        digest.update(np.ascontiguousarray(drawings))
    return digest.hexdigest()[:16]
