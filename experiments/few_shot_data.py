"""The data of few-shot experiments: flags, drawings of every split, streams of episodes."""

import hashlib

import numpy as np
from absl import flags, logging

from experiments import program
from meta_keras import data

FLAGS = flags.FLAGS

flags.DEFINE_integer("nway", 5, "N, classes of an episode.", lower_bound=2)
flags.DEFINE_integer("kshot", 1, "K, support pictures a class.", lower_bound=1)
flags.DEFINE_integer(
    "train_nway", None, "Classes of a training episode; --nway if not given.", lower_bound=2
)
flags.DEFINE_integer(
    "train_kshot",
    None,
    "Support pictures a class in training; --kshot if not given.",
    lower_bound=1,
)
flags.DEFINE_integer("nquery", 5, "Q, query pictures a class in training.", lower_bound=1)
flags.DEFINE_integer(
    "test_nquery", 15, "Query pictures a class in validation and test.", lower_bound=1
)
flags.DEFINE_enum(
    "dataset",
    "auto",
    ["auto", "omniglot", "glyphs", "folder"],
    "auto: omniglot if it is prepared or can be had within seconds, else the built-in glyphs. "
    "folder: --data_dir holds a folder of pictures for every class.",
)
flags.DEFINE_enum(
    "split",
    "random",
    ["random", "vinyals", "lake"],
    "Classes for training, validation and test: random 1100/100/423 characters; the lists of "
    "Vinyals et al. in --split_dir; Lake's background and evaluation alphabets.",
)
flags.DEFINE_bool(
    "rotations",
    True,
    "Rotations by 90, 180 and 270 degrees are further classes; with --dataset=folder only in "
    "training.",
)
flags.DEFINE_string("split_dir", None, "Folder with train.txt, val.txt, test.txt (vinyals).")
flags.DEFINE_string("data_dir", None, "TFDS folder; TFDS' own if not given. Or see --dataset.")
flags.DEFINE_string("manual_dir", None, "Folder with Omniglot's official zip files.")

flags.register_multi_flags_validator(
    ["split", "split_dir"],
    lambda f: f["split"] != "vinyals" or f["split_dir"],
    "--split=vinyals needs --split_dir, the folder with train.txt, val.txt and test.txt",
)
flags.register_multi_flags_validator(
    ["dataset", "data_dir", "split"],
    lambda f: f["dataset"] != "folder" or (f["data_dir"] and f["split"] == "random"),
    "--dataset=folder needs --data_dir, the folder with the class folders, and --split=random",
)

STREAMS = {"train": 0, "validation": 1, "test": 2}


def load_data(begun_with=None):
    """The drawings of every split, and what was used.

    Args:
        begun_with: the data set that `--dataset=auto` chose when this run began, if it did.

    Returns:
        `(dict from split to drawings, dataset, reason)`.

    Raises:
        DatasetError: the data cannot be had.
        UsageError: the split does not fit the flags.
    """
    dataset, reason = FLAGS.dataset, "asked for"
    if dataset == "auto":
        if begun_with:
            dataset, reason = begun_with, "The run began with it."
        else:
            dataset, reason = data.choose_dataset(FLAGS.data_dir, FLAGS.manual_dir)
        if dataset == "glyphs":
            logging.warning("Using the built-in data set glyphs: %s", reason)
    if dataset == "folder":
        needed, because = pictures_needed()
        characters = data.load_folder(FLAGS.data_dir, at_least=needed, because=because)
    else:
        characters = data.load_characters(dataset, FLAGS.data_dir, FLAGS.manual_dir)
    try:
        split = data.split_classes(characters, FLAGS.split, FLAGS.rotations, FLAGS.split_dir)
        if dataset == "folder" and FLAGS.rotations:
            # The accuracy is to be that on the user's classes. Some look the same when turned.
            split = data.split_classes(characters, rotations=False) | {"train": split["train"]}
            reason += "; rotations are further classes in training only"
        fit_train_nway(len(split["train"]), dataset)
        for name, classes in split.items():
            nway = episode_sizes(name)[0]
            flag = "nway" if nway == FLAGS.nway else "train_nway"
            if nway > len(classes):
                shares = ", 1/5 of all" if dataset == "folder" and name != "train" else ""
                raise ValueError(
                    f"--{flag}={nway} is more than the {len(classes)} classes of the {name} "
                    f"part of {dataset} (--split={FLAGS.split}{shares})."
                )
    except ValueError as error:
        raise program.UsageError(str(error)) from error
    drawings = {name: data.gather_classes(characters, classes) for name, classes in split.items()}
    return drawings, dataset, reason


def pictures_needed():
    """How many pictures a class must have, and for messages which flags decide that."""
    names = max(
        (episode_flags(part)[1:] for part in ("train", "test")),
        key=lambda names: sum(FLAGS[name].value for name in names),
    )
    kshot, nquery = (FLAGS[name].value for name in names)
    lower = names[1] if nquery > 1 else names[0]
    return kshot + nquery, f"= --{names[0]}={kshot} + --{names[1]}={nquery}; lower --{lower}"


def fit_train_nway(classes, dataset):
    """Takes all classes there are where a method's own default asks for more."""
    if not FLAGS["train_nway"].present and (FLAGS.train_nway or 0) > classes >= FLAGS.nway:
        logging.warning(
            "Training episodes have all %d training classes of %s, not %d as is the default of "
            "--method=%s.", classes, dataset, FLAGS.train_nway, FLAGS.method,
        )  # fmt: skip
        FLAGS.set_default("train_nway", classes)


def episode_flags(part):
    """Names of the flags that give N, K and Q of a split's episodes."""
    if part != "train":
        return "nway", "kshot", "test_nquery"
    nway, kshot = (
        f"train_{name}" if FLAGS[f"train_{name}"].value else name for name in ("nway", "kshot")
    )
    return nway, kshot, "nquery"


def episode_sizes(part):
    """N, K and Q of a split's episodes."""
    return tuple(FLAGS[name].value for name in episode_flags(part))


def fingerprint(drawings):
    """Names the very drawings of all splits."""
    digest = hashlib.sha256()
    for part in STREAMS:
        digest.update(f"{part} {drawings[part].shape}".encode())
        digest.update(np.ascontiguousarray(drawings[part]))
    return digest.hexdigest()[:16]


def make_episodes(drawings, part, count, start=0, meta_batch=1):
    """The stream of a split: training episodes run on, validation and test are always the same."""
    return data.episodes(
        drawings[part],
        *episode_sizes(part),
        seed=FLAGS.seed * len(STREAMS) + STREAMS[part],
        count=count,
        start=start,
        meta_batch=meta_batch,
    )
