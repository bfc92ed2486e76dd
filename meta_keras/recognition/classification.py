"""Own pictures: from folders of them to predictions by a trained few-shot learner.

    from meta_keras import recognition

    table, accuracy, skipped = recognition.classify("examples", "pictures", "answers")

Pictures show one character each, as `meta_keras.data.ink` describes them.
"""

import contextlib
import csv
import io
import json
import pathlib

import numpy as np
import tensorflow as tf
from absl import logging

from meta_keras.data import folder as folders
from meta_keras.errors import SettingError
from meta_keras.files import replacing, versions, writable_folder
from meta_keras.learners import EpisodicLearner
from meta_keras.texts import encodable, printable, spreadsheet_cell


def classify(
    support,
    query,
    output,
    preset="prototypical_omniglot",
    *,
    inform=logging.info,
    warn=logging.warning,
):
    """Classifies the pictures of a folder; writes predictions, a contact sheet and results.

    `output` gets `predictions.csv` (a row a picture: its file, the class with the highest
    probability, the probabilities of all classes), `contact_sheet.png` and `results.json`, each
    whole or not at all.

    Args:
        support: path of a folder with a folder for every class, one or a few pictures in each.
        query: path of a folder of pictures, or of folders of them. Those in folders with the names
            of classes tell the accuracy.
        output: path of the folder to write to, made if it is not there.
        preset: name or folder of a trained few-shot learner.
        inform: function that is told in a sentence what was found, and the accuracy.
        warn: function that is told in a sentence of every file that was skipped, at once.

    Returns:
        `(table, accuracy, skipped)`: str, the content of `predictions.csv`; float, the accuracy
        over the pictures in folders with the names of classes, None if there are none; a list of
        `(file, reason)`.

    Raises:
        SettingError: the folders lie in each other, one has no pictures or cannot be written, or
            the preset is not for such classes or pictures.
        DatasetError: `support` or `query` is no folder, or `support` has no class folders.
        PresetError: there is no such preset, or it is no few-shot learner.
    """
    support, query, output = _check_folders(support, query, output)
    found, skipped = folders.class_folders(support)
    classes = list(found)
    if len(classes) < 2:
        raise SettingError(
            f"support={support} has the single class {classes[0]!r}; at least 2 are needed."
        )
    learner, size = load_learner(preset, len(classes))
    to_classify, no_pictures = folders.find_pictures(query)
    paths = [path for paths in to_classify.values() for path in paths]
    skipped += no_pictures
    _report(skipped, warn)
    if not paths:
        raise SettingError(f"query={query} has no pictures.")
    writable_folder("output", output)
    support_images, support_labels, unreadable = read_support(found, size, warn)
    skipped += unreadable
    images, read, unreadable = folders.read_pictures(paths, size)
    _report(unreadable, warn)
    skipped += unreadable
    if not read:
        raise SettingError(f"query={query} has no picture that can be read.")
    query_images = to_network(images)
    probabilities = predict(learner, support_images, support_labels, query_images)

    names = [path.relative_to(query).as_posix() for path in read]
    labels = {name: label for label, name in enumerate(classes)}
    truth = np.array([labels.get(name.rpartition("/")[0], -1) for name in names])
    known = truth >= 0
    accuracy = None
    inform(f"{len(read)} pictures, {len(classes)} classes: {classes}.")
    if known.any():
        accuracy = float((probabilities.argmax(axis=1) == truth)[known].mean())
        inform(f"Accuracy {accuracy:.2%} over the {known.sum()} pictures in folders of classes.")
    others = {name.rpartition("/")[0] for name in names} - {*classes, ""}
    if others:
        inform(f"Not names of classes, so without a share in the accuracy: {sorted(others)}.")

    table = predictions_table(names, classes, probabilities)
    from meta_keras import plots  # loads matplotlib

    sheet = plots.contact_sheet(
        support_images, support_labels, query_images, probabilities, classes, truth
    )
    results = {
        "experiment": "classify",
        "preset": encodable(preset),
        "classes": list(map(encodable, classes)),
        "support_pictures": len(support_labels),
        "query_pictures": len(read),
        "labelled_query_pictures": int(known.sum()),
        "accuracy": accuracy,
        "skipped": [{"file": encodable(file), "reason": reason} for file, reason in skipped],
        "versions": versions(),
    }
    contents = {
        "predictions.csv": table.encode(),
        "contact_sheet.png": tf.io.encode_png(sheet).numpy(),
        "results.json": (json.dumps(results, indent=1) + "\n").encode(),
    }
    _write(output, contents)
    return table, accuracy, skipped


def load_learner(preset, classes):
    """The learner of a preset and the side of its pictures.

    Args:
        preset: a name or a folder.
        classes: number of classes it is going to be used for.

    Returns:
        `(EpisodicLearner, int)`.

    Raises:
        PresetError: there is no such preset, or it is no few-shot learner.
        SettingError: it cannot tell so many classes apart, or needs other pictures.
    """
    learner = EpisodicLearner.from_preset(preset)
    number = learner.num_classes
    if number not in (None, classes):
        raise SettingError(
            f"`support` has {classes} classes, but preset={preset} "
            f"tells exactly {number} apart. Give {number} class folders, or a preset of a "
            "metric method, which takes any number."
        )
    shape = learner.network.input_shape[1:]
    if len(shape) != 3 or shape[0] is None or shape[0] != shape[1] or shape[2] != 1:
        raise SettingError(
            f"preset={preset} is for pictures of shape {shape}; only square grey ones "
            "can be made of files."
        )
    return learner, shape[0]


def read_support(found, size, warn=logging.warning):
    """Reads the support set.

    Args:
        found: dict from a class to the paths of its pictures, as from `class_folders`.
        size: side of the pictures in pixels.
        warn: as in `classify`.

    Returns:
        `(images, labels, skipped)`: float32 `[n, size, size, 1]` in [0, 1], ink 1; int32 `[n]`,
        the number of each one's class; a list of `(file, reason)`.

    Raises:
        SettingError: a class has no picture, or none that can be read.
    """
    images, labels, skipped = [], [], []
    for label, (name, paths) in enumerate(found.items()):
        pictures, _, unreadable = folders.read_pictures(paths, size)
        _report(unreadable, warn)
        skipped += unreadable
        if not len(pictures):
            raise SettingError(
                f"class {name!r} of `support` has no picture"
                + (" that can be read." if paths else ".")
            )
        images.append(pictures)
        labels += [label] * len(pictures)
    return to_network(np.concatenate(images)), np.array(labels, np.int32), skipped


def to_network(images):
    """uint8 `[n, size, size]` to what networks take: float32 `[n, size, size, 1]` in [0, 1]."""
    return images[..., None].astype(np.float32) / 255


def predict(learner, support_images, support_labels, query_images):
    """Probabilities of the classes of query pictures, each independent of the others.

    A transductive classifier normalises with the statistics of its batch. Every picture gets a
    batch with the support pictures: alone it would not do, and with other query pictures its
    answer would depend on which those are.

    Args:
        learner: an `EpisodicLearner`.
        support_images: float32 `[m, size, size, 1]` in [0, 1], ink 1.
        support_labels: int32 `[m]`, in [0, N).
        query_images: float32 `[n, size, size, 1]`.

    Returns:
        float64 `[n, N]`.
    """
    classifier = learner.adapt(support_images, support_labels)
    if learner.is_transductive():

        @tf.function
        def answer(image):
            return classifier(tf.concat([image[None], support_images], axis=0))[0]

        logits = np.array([answer(image) for image in tf.constant(query_images)])
    else:
        logits = classifier.predict(query_images, batch_size=256, verbose=0)
    return tf.nn.softmax(np.float64(logits)).numpy()


def predictions_table(names, classes, probabilities):
    """The content of `predictions.csv`, in which no name is a spreadsheet's formula.

    Args:
        names: of the n pictures.
        classes: N names.
        probabilities: float `[n, N]`.

    Returns:
        A str.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    classes = list(map(spreadsheet_cell, classes))
    writer.writerow(["file", "predicted", *classes])
    for name, row in zip(names, probabilities, strict=True):
        writer.writerow([spreadsheet_cell(name), classes[row.argmax()], *(f"{p:.6f}" for p in row)])
    return table.getvalue()


def _check_folders(support, query, output):
    """The three as absolute paths; refuses those that would spoil each other."""
    support, query, output = (
        pathlib.Path(path).expanduser().resolve() for path in (support, query, output)
    )
    for name, path in (("support", support), ("query", query)):
        if output.is_relative_to(path):
            raise SettingError(
                f"output={output} lies in {name}={path}; name a folder outside of it."
            )
    if query.is_relative_to(support) or support.is_relative_to(query):
        raise SettingError(
            f"support={support} and query={query} must not contain each other: pictures that "
            "serve as examples cannot be test pictures too."
        )
    return support, query, output


def _report(skipped, warn):
    for file, reason in skipped:
        warn(printable(f"Skipped {file}: {reason}."))


def _write(output, contents):
    """Writes files, all of them or none."""
    try:
        with contextlib.ExitStack() as stack:
            for name, content in contents.items():
                stack.enter_context(replacing(output / name)).write_bytes(content)
    except OSError as error:
        reason = error.strerror or getattr(error.__cause__, "strerror", None) or error
        raise SettingError(f"output={output} cannot be written: {reason}.") from error
