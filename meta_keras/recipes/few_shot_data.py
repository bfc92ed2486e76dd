"""The data of few-shot recipes: what they need of it, and loading it."""

import hashlib

import numpy as np
from absl import logging

from meta_keras import data
from meta_keras.data.photograph_sets import PUBLISHED_SETS
from meta_keras.data.splits import ROTATIONS
from meta_keras.errors import SettingError
from meta_keras.recipes.episodic import EpisodeData

DRAWINGS = 20  # of a character


MINI_IMAGENET = 60_000  # pictures
CHARACTERS = ("auto", "omniglot", "glyphs")


def splits_of(dataset):
    """The protocols that divide the classes of a data set."""
    if dataset in CHARACTERS:
        return "random", "vinyals", "lake"
    return ("published", "random") if dataset in PUBLISHED_SETS else ("random", "lists")


def check(recipe):
    """Refuses settings of a `FewShotRecipe` that no data will fit.

    Raises:
        SettingError: they do not fit together.
    """
    characters = recipe.pictures == "characters"
    if recipe.dataset != "folder" and characters != (recipe.dataset in CHARACTERS):
        raise SettingError(
            f"pictures={recipe.pictures} does not go with dataset={recipe.dataset}; it is for "
            "dataset=folder."
        )
    if characters and recipe.augment != "none":
        raise SettingError(
            f"augment={recipe.augment} is for photographs: a mirrored character is another one."
        )
    if not characters and recipe.rotations:
        raise SettingError(
            f"rotations=True is for characters, not for the photographs of {recipe.dataset}: those "
            "turned are no other classes."
        )
    allowed = splits_of(recipe.dataset)
    if recipe.split not in allowed:
        raise SettingError(
            f"split={recipe.split} does not go with dataset={recipe.dataset}, for which it must be "
            f"{' or '.join(allowed)}."
        )
    if recipe.split in ("vinyals", "lists") and not recipe.split_dir:
        raise SettingError(
            f"split={recipe.split} needs `split_dir`, the folder with train.txt, val.txt and "
            "test.txt."
        )
    if recipe.split_dir and recipe.split not in ("vinyals", "lists"):
        raise SettingError(
            f"split_dir={recipe.split_dir} does not go with split={recipe.split}; it is for "
            "split=vinyals (of omniglot) and split=lists (of folder and tfds:NAME)."
        )
    if recipe.manual_dir and recipe.dataset in ("folder", "glyphs"):
        raise SettingError(
            f"manual_dir={recipe.manual_dir} does not go with dataset={recipe.dataset}, which has "
            "no such files."
        )
    if recipe.dataset == "folder" and not recipe.data_dir:
        raise SettingError("dataset=folder needs `data_dir`, the folder with the class folders.")
    published = PUBLISHED_SETS.get(recipe.dataset)
    most = published.per_class if published else DRAWINGS
    of = "the pictures of a class" if published else "the drawings of a character"
    for part, names in (
        ("train", "`train_kshot` (or `kshot`) plus `nquery`"),
        ("test", "`kshot` plus `test_nquery`"),
    ):
        pictures = sum(recipe.shots(part))
        if (published or recipe.dataset in CHARACTERS) and pictures > most:
            raise SettingError(f"{names} must be at most {most}, {of}, not {pictures}.")


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
    size = recipe.image_shape[0]
    if recipe.pictures == "photographs":
        parts, total = _photographs(recipe, size)
    else:
        parts, total = _characters(recipe, dataset, size)
        if dataset == "folder" and recipe.rotations:
            reason += "; rotations are further classes in training only"
    train_nway = training_classes(recipe, len(parts["train"]), dataset)
    for part, classes in parts.items():
        nway = train_nway if part == "train" else recipe.nway
        if nway > len(classes):
            name = "nway" if nway == recipe.nway else "train_nway"
            shares, wanted = "", ""
            if dataset == "folder" and part != "train" and recipe.split == "random":
                shares = ", 1/5 of all"
                _, because = pictures_needed(recipe)
                wanted = (
                    f" The folder has {total} classes with enough pictures "
                    f"({because}); lower `{name}`, or have about {5 * nway} of them."
                )
            raise SettingError(
                f"{name}={nway} is more than the {len(classes)} classes of the {part} part of "
                f"{dataset} (split={recipe.split}{shares}).{wanted}"
            )
    # A user's own pictures may change between two starts.
    key = "pictures" if recipe.pictures == "characters" else "fingerprint"
    identity = {key: fingerprint(parts)} if dataset == "folder" else {}
    pictures = total_pictures(parts) if dataset == "mini_imagenet" else MINI_IMAGENET
    if pictures < MINI_IMAGENET:
        logging.warning(
            "mini_imagenet has %d pictures of %d classes here, not 60,000 of 100: what is reached "
            "cannot be compared with published figures.", pictures, total,
        )  # fmt: skip
        dataset = f"a part of {dataset}"
    return EpisodeData(parts, dataset, reason, train_nway, identity)


def total_pictures(parts):
    return sum(int(classes.counts.sum()) for classes in parts.values())


def _characters(recipe, dataset, size):
    """The drawings of every part, and the number of all classes, none turned."""
    if dataset == "folder":
        needed, because = pictures_needed(recipe)
        characters = data.load_folder(recipe.data_dir, size, needed, because)
        if np.median(data.half_tones(characters.images / np.float32(255))) > data.HALF_TONES:
            logging.warning(
                "What the pictures in %s show looks like no characters on plain paper; if they are "
                "photographs, say pictures=photographs.", recipe.data_dir,
            )  # fmt: skip
        split = {
            part: [(c, d) for c in classes for d in ROTATIONS if d == 0 or part in turned]
            # The accuracy is to be that on the user's classes. Some look the same when turned.
            for turned in [("train",) if recipe.rotations else ()]
            for part, classes in data.split_named(
                dataset, characters.names, recipe.split, recipe.split_dir
            ).items()
        }
    else:
        characters = data.load_characters(dataset, recipe.data_dir, recipe.manual_dir, size)
        split = data.split_classes(characters, recipe.split, recipe.rotations, recipe.split_dir)
    parts = {part: data.gather_classes(characters, classes) for part, classes in split.items()}
    return parts, len(characters.names)


def _photographs(recipe, size):
    """The `ImageClasses` of every part, and the number of all classes."""
    needed, because = pictures_needed(recipe)
    if recipe.dataset == "folder":
        classes = data.load_photograph_folder(recipe.data_dir, size, needed, because)
    else:
        classes = data.load_photographs(recipe.dataset, recipe.data_dir, recipe.manual_dir, size)
        classes = data.large_enough(classes, recipe.dataset, needed, because)
    split = data.split_named(recipe.dataset, classes.names, recipe.split, recipe.split_dir)
    return {part: classes.part(numbers) for part, numbers in split.items()}, len(classes)


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
    """Names the very pictures of all parts."""
    digest = hashlib.sha256()
    for part, classes in parts.items():
        if isinstance(classes, data.ImageClasses):
            digest.update(f"{part} {classes.counts.tolist()}".encode())
            for places in classes.places:
                digest.update(classes.images[places[places >= 0]])
        else:
            digest.update(f"{part} {classes.shape}".encode())
            digest.update(np.ascontiguousarray(classes))
    return digest.hexdigest()[:16]
