"""The work of `experiments.classify`: from folders of pictures to predictions."""

import csv
import io
import os
import pathlib
import sys
import tempfile

import numpy as np
import tensorflow as tf

from experiments import files, program
from meta_keras import pictures
from meta_keras.data import folder as folders
from meta_keras.learners import (
    EpisodicLearner,
    GradientBasedLearner,
    ZeroShotPrototypicalNetwork,
)
from meta_keras.presets import PresetError


def load_learner(preset, classes):
    """The learner of a preset and the side of its pictures.

    Args:
        preset: a name or a folder.
        classes: number of classes it is going to be used for.

    Raises:
        PresetError: there is no such preset, or it is no few-shot learner.
        UsageError: it cannot tell so many classes apart, or needs other pictures.
    """
    learner = EpisodicLearner.from_preset(preset)
    if isinstance(learner, ZeroShotPrototypicalNetwork):
        raise PresetError(
            f"--preset={preset} holds a {type(learner).__name__}, which learns classes from "
            "descriptions, not from pictures."
        )
    if isinstance(learner, GradientBasedLearner):
        outputs = learner.network.output_shape[-1]
        if outputs != classes:
            raise program.UsageError(
                f"--support has {classes} classes, but --preset={preset} "
                f"tells exactly {outputs} apart. Give {outputs} class folders, or a preset of a "
                "metric method, which takes any number."
            )
    shape = learner.network.input_shape[1:]
    if len(shape) != 3 or shape[0] is None or shape[0] != shape[1] or shape[2] != 1:
        raise program.UsageError(
            f"--preset={preset} is for pictures of shape {shape}; only square grey ones "
            "can be made of files."
        )
    return learner, shape[0]


def check_folders(support, query, output):
    """Refuses folders that would spoil each other, before anything is read or written.

    Returns:
        The three as absolute `pathlib.Path`.

    Raises:
        UsageError: one of them lies in another.
    """
    support, query, output = (
        pathlib.Path(path).expanduser().resolve() for path in (support, query, output)
    )
    for name, path in (("support", support), ("query", query)):
        if output.is_relative_to(path):
            raise program.UsageError(
                f"--output={output} lies in --{name}={path}; name a folder outside of it."
            )
    if query.is_relative_to(support) or support.is_relative_to(query):
        raise program.UsageError(
            f"--support={support} and --query={query} must not contain each other: pictures that "
            "serve as examples cannot be test pictures too."
        )
    return support, query, output


def read_support(found, size):
    """The support set: images `[n, size, size, 1]`, labels `[n]`, skipped files.

    Raises:
        UsageError: a class has no picture, or none that can be read.
    """
    images, labels, skipped = [], [], []
    for label, (name, paths) in enumerate(found.items()):
        pictures_of_class, _, unreadable = folders.read_pictures(paths, size)
        report(unreadable)
        skipped += unreadable
        if not len(pictures_of_class):
            raise program.UsageError(
                f"class {name!r} of --support has no picture"
                + (" that can be read." if paths else ".")
            )
        images.append(pictures_of_class)
        labels += [label] * len(pictures_of_class)
    return to_network(np.concatenate(images)), np.array(labels, np.int32), skipped


def report(skipped):
    for file, reason in skipped:
        print(encodable(f"Skipped {file}: {reason}."), file=sys.stderr)


def encodable(text):
    """A text that can be written as UTF-8: bytes of file names that are no UTF-8 are escaped."""
    return str(text).encode(errors="backslashreplace").decode()


def to_network(images):
    """uint8 `[n, size, size]` to what networks take: float32 `[n, size, size, 1]` in [0, 1]."""
    return images[..., None].astype(np.float32) / 255


def predict(learner, support_images, support_labels, query_images):
    """Probabilities `[n, N]` of the classes of query pictures, each independent of the others.

    A transductive classifier normalises with the statistics of its batch. Every picture gets a
    batch with the support pictures: alone it would not do, and with other query pictures its
    answer would depend on which those are.
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
    """The content of predictions.csv."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["file", "predicted", *classes])
    for name, row in zip(names, probabilities, strict=True):
        writer.writerow([name, classes[row.argmax()], *(f"{p:.6f}" for p in row)])
    return table.getvalue()


def write_file(file, content):
    """Writes bytes all at once or not at all."""
    with tempfile.TemporaryDirectory(dir=file.parent) as part:
        whole = pathlib.Path(part) / file.name
        whole.write_bytes(content)
        os.replace(whole, file)


def classify(support, query, output, preset):
    """Classifies the pictures of a folder; writes predictions, a contact sheet and results.

    Args:
        support: path of a folder of class folders.
        query: path of a folder of pictures, or of folders of them.
        output: path of the folder to write to.
        preset: name or folder of a trained few-shot learner.

    Returns:
        `(table, accuracy, skipped)`: the content of predictions.csv; the accuracy over the
        pictures in folders with the names of classes, None if there are none; a list of
        `(file, reason)`.

    Raises:
        DatasetError, PresetError, UsageError: what is asked for cannot be.
    """
    support, query, output = check_folders(support, query, output)
    found, skipped = folders.class_folders(support)
    classes = list(found)
    if len(classes) < 2:
        raise program.UsageError(
            f"--support={support} has the single class {classes[0]!r}; at least 2 are needed."
        )
    learner, size = load_learner(preset, len(classes))
    to_classify, no_pictures = folders.find_pictures(query)
    paths = [path for paths in to_classify.values() for path in paths]
    skipped += no_pictures
    report(skipped)
    if not paths:
        raise program.UsageError(f"--query={query} has no pictures.")
    program.writable_folder("output", output)
    support_images, support_labels, unreadable = read_support(found, size)
    skipped += unreadable
    images, read, unreadable = folders.read_pictures(paths, size)
    report(unreadable)
    skipped += unreadable
    if not read:
        raise program.UsageError(f"--query={query} has no picture that can be read.")
    query_images = to_network(images)
    probabilities = predict(learner, support_images, support_labels, query_images)

    names = [encodable(path.relative_to(query).as_posix()) for path in read]
    classes = [encodable(name) for name in classes]
    labels = {name: label for label, name in enumerate(classes)}
    truth = np.array([labels.get(name.rpartition("/")[0], -1) for name in names])
    known = truth >= 0
    accuracy = None
    print(f"{len(read)} pictures, {len(classes)} classes: {classes}.")
    if known.any():
        accuracy = float((probabilities.argmax(axis=1) == truth)[known].mean())
        print(f"Accuracy {accuracy:.2%} over the {known.sum()} pictures in folders of classes.")
    others = {name.rpartition("/")[0] for name in names} - {*classes, ""}
    if others:
        print(f"Not names of classes, so without a share in the accuracy: {sorted(others)}.")

    table = predictions_table(names, classes, probabilities)
    write_file(output / "predictions.csv", table.encode())
    sheet = pictures.contact_sheet(
        support_images, support_labels, query_images, probabilities, classes, truth
    )
    write_file(output / "contact_sheet.png", tf.io.encode_png(sheet).numpy())
    results = {
        "experiment": "classify",
        "preset": encodable(preset),
        "classes": classes,
        "support_pictures": len(support_labels),
        "query_pictures": len(read),
        "labelled_query_pictures": int(known.sum()),
        "accuracy": accuracy,
        "skipped": [{"file": encodable(file), "reason": reason} for file, reason in skipped],
        "versions": files.versions(),
    }
    files.write_json(output / "results.json", results)
    return table, accuracy, skipped
