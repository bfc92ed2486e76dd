"""Which classes are for training, validation and test."""

import pathlib

import numpy as np

from meta_keras.errors import SettingError

SPLITS = ("train", "validation", "test")
PROTOCOLS = ("random", "vinyals", "lake")
ROTATIONS = (0, 90, 180, 270)
CLASS_LISTS = pathlib.Path(__file__).parent / "class_lists"


def split_classes(characters, protocol="random", rotations=True, split_dir=None):
    """Divides the classes of a data set; a rotated class stays with its original.

    Args:
        characters: `Characters`.
        protocol: `"random"`: 1100 / 100 / 423 characters (the same shares of a data set of
            another size; 3/5, 1/5, 1/5 of a user's own folder, which is small) by a fixed seed,
            as [Finn et al. 2017](https://arxiv.org/abs/1703.03400) do. `"vinyals"`: the lists of
            [Vinyals et al. 2016](https://arxiv.org/abs/1606.04080) in `split_dir`. `"lake"`: the
            data set's own split by alphabets (background / evaluation,
            [Lake et al. 2015](https://www.science.org/doi/10.1126/science.aab3050)), five
            background alphabets held out for validation.
        rotations: whether a character rotated by 90, 180 and 270 degrees is three classes more.
        split_dir: folder with `train.txt`, `val.txt` and `test.txt`, one
            `Alphabet/characterNN/rotDDD` a line.

    Returns:
        Dict from `"train"`, `"validation"`, `"test"` to a sorted list of `(class, degrees)`.

    Raises:
        SettingError: the protocol is unknown, or its lists are missing, empty, do not fit the data
            set or overlap.
    """
    if protocol == "vinyals":
        return _vinyals(characters, rotations, split_dir)
    if protocol == "random":
        own = characters.dataset == "folder"
        parts = _random(len(characters.names), (3 / 5, 1 / 5) if own else (1100 / 1623, 100 / 1623))
    elif protocol == "lake":
        if not characters.evaluation.any():
            raise SettingError(
                f"split='lake': {characters.dataset} has no test classes of its own."
            )
        parts = _lake(characters)
    else:
        raise SettingError(f"split must be one of {PROTOCOLS}, got {protocol!r}.")
    degrees = ROTATIONS if rotations else ROTATIONS[:1]
    return {
        name: [(int(c), d) for c in sorted(part) for d in degrees]
        for name, part in zip(SPLITS, parts, strict=True)
    }


def gather_classes(characters, classes):
    """The drawings of classes, turned.

    Args:
        characters: `Characters`.
        classes: list of `(class, degrees)`, as from `split_classes`.

    Returns:
        uint8 `[len(classes), drawings, size, size]`.
    """
    return np.stack(
        [np.rot90(characters.images[c], degrees // 90, axes=(1, 2)) for c, degrees in classes]
    )


def _random(num_classes, shares):
    order = np.random.RandomState(1623).permutation(num_classes)
    train, validation = (round(num_classes * share) for share in shares)
    return np.split(order, [train, train + validation])


def _lake(characters):
    background = np.flatnonzero(~characters.evaluation)
    alphabet = np.array([name.split("/")[0] for name in characters.names])
    held_out = np.random.RandomState(30).permutation(np.unique(alphabet[background]))[:5]
    validation = np.isin(alphabet[background], held_out)
    return (
        background[~validation],
        background[validation],
        np.flatnonzero(characters.evaluation),
    )


def _vinyals(characters, rotations, split_dir):
    if not split_dir:
        raise SettingError(
            "split='vinyals' needs `split_dir`, the folder with train.txt, val.txt and test.txt."
        )
    classes = {name: index for index, name in enumerate(characters.names.tolist())}

    def find(line):
        character, _, rotation = line.rpartition("/rot")
        if character not in classes or rotation not in ("000", "090", "180", "270"):
            raise SettingError(
                f"{line!r} is not a class of {characters.dataset} in the form "
                "Alphabet/characterNN/rotDDD."
            )
        return character, (classes[character], int(rotation))

    return {
        name: [(c, d) for c, d in listed if rotations or d == 0]
        for name, listed in _read_lists(split_dir, find).items()
    }


def split_named(dataset, names, protocol="random", split_dir=None):
    """Divides the classes of a data set by their names alone.

    Args:
        dataset: its name.
        names: str `[classes]`.
        protocol: `"random"`: 64, 16 and 20 % of the classes by a fixed seed, of a user's own folder
            3/5, 1/5, 1/5. `"published"`: the
            lists of the classes of `cifar_fs`, `fc100` and `mini_imagenet`; classes of the latter
            that are not there are passed over. `"lists"`: the lists in `split_dir`.
        split_dir: folder with `train.txt`, `val.txt` and `test.txt`, a class's name a line.

    Returns:
        Dict from `"train"`, `"validation"`, `"test"` to a sorted list of numbers of classes.

    Raises:
        SettingError: the protocol is unknown, or its lists are missing, empty, do not fit the data
            set or overlap.
    """
    if protocol == "random":
        parts = _random(len(names), (3 / 5, 1 / 5) if dataset == "folder" else (0.64, 0.16))
        return {name: sorted(map(int, part)) for name, part in zip(SPLITS, parts, strict=True)}
    if protocol not in ("published", "lists"):
        raise SettingError(f"split must be random, published or lists, got {protocol!r}.")
    numbers = {name: number for number, name in enumerate(names.tolist())}
    # A small data set in the layout of a published one may do without some of its classes.
    optional = protocol == "published" and dataset == "mini_imagenet"

    def find(line):
        if line not in numbers and not optional:
            raise SettingError(f"{line!r} is not a class of {dataset}.")
        return line, numbers.get(line)

    folder = CLASS_LISTS / dataset if protocol == "published" else split_dir
    return _read_lists(folder, find)


def _read_lists(split_dir, find):
    """The classes that train.txt, val.txt and test.txt list, one a line.

    Args:
        split_dir: folder.
        find: function of a line to what must be in one list only, and to what the line stands for,
            None if that is to be passed over.

    Returns:
        Dict from the part to a sorted list of what its lines stand for.
    """
    split, owner = {}, {}
    for name, stem in zip(SPLITS, ("train", "val", "test"), strict=True):
        file = pathlib.Path(split_dir).expanduser() / f"{stem}.txt"
        try:
            lines = [line.strip() for line in file.read_text().splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(
                f"split_dir={str(split_dir)!r}: {file.name} cannot be read ({error})."
            ) from error
        split[name], seen = [], set()
        for line in filter(None, lines):
            try:
                belonging, listed = find(line)
            except SettingError as error:
                raise SettingError(f"{file}: {error}") from error
            if owner.setdefault(belonging, name) != name:
                raise SettingError(f"{file}: {belonging} is in {owner[belonging]!r} already.")
            if line in seen:
                raise SettingError(f"{file}: {line!r} is listed twice.")
            seen.add(line)
            if listed is not None:
                split[name].append(listed)
        if not seen:
            raise SettingError(f"{file} lists no class.")
        split[name].sort()
    return split
