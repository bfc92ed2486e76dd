"""Classifies pictures from one or a few examples of every class, offline.

    python -m experiments.classify --support=DIR --query=DIR --output=DIR

--support holds a folder for every class with one or a few pictures in it. --query holds the
pictures to classify; those in folders with the names of classes also tell the accuracy. A picture
shows one character, ink on plain paper or the other way round, in any size, colour or grey.

Exit code: 0 all pictures were read; 3 some could not be read and were skipped; 2 the user asked for
something that cannot be (1 for a bad flag).
"""

import csv
import io
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from absl import flags

from experiments import files, program
from meta_keras import pictures
from meta_keras.data import folder as folders
from meta_keras.learners import EpisodicLearner, GradientBasedLearner

FLAGS = flags.FLAGS

flags.DEFINE_string("support", None, "Folder of class folders, one or a few pictures in each.")
flags.DEFINE_string("query", None, "Folder of pictures to classify, or of class folders of them.")
flags.DEFINE_string("output", None, "Folder for predictions.csv, contact_sheet.png, results.json.")
flags.DEFINE_string(
    "preset", "lstm_omniglot_5way_1shot", "Trained few-shot learner (a name or a folder)."
)
flags.mark_flags_as_required(["support", "query", "output"])

SOME_SKIPPED = 3  # exit code


def load_learner(classes):
    """The learner of `--preset` and the side of its pictures.

    Args:
        classes: number of classes it is going to be used for.

    Raises:
        PresetError: there is no such preset, or it is no few-shot learner.
        UsageError: it cannot tell so many classes apart, or needs other pictures.
    """
    learner = EpisodicLearner.from_preset(FLAGS.preset)
    if isinstance(learner, GradientBasedLearner):
        outputs = learner.network.output_shape[-1]
        if outputs != classes:
            raise program.UsageError(
                f"--support={FLAGS.support} has {classes} classes, but --preset={FLAGS.preset} "
                f"tells exactly {outputs} apart. Give {outputs} class folders, or a preset of a "
                "metric method, which takes any number."
            )
    network = getattr(learner, "network", None) or learner.embedding
    shape = network.input_shape[1:]
    if len(shape) != 3 or shape[0] is None or shape[0] != shape[1] or shape[2] != 1:
        raise program.UsageError(
            f"--preset={FLAGS.preset} is for pictures of shape {shape}; only square grey ones "
            "can be made of files."
        )
    return learner, shape[0]


def check_folders():
    """Refuses folders that would spoil each other, before anything is read or written."""
    support, query, output = (
        pathlib.Path(path).expanduser().resolve()
        for path in (FLAGS.support, FLAGS.query, FLAGS.output)
    )
    for name, path in (("support", support), ("query", query)):
        if output.is_relative_to(path):
            raise program.UsageError(
                f"--output={FLAGS.output} lies in --{name}; name a folder outside of it."
            )
    if query.is_relative_to(support) or support.is_relative_to(query):
        raise program.UsageError(
            f"--support={FLAGS.support} and --query={FLAGS.query} must not contain each other: "
            "pictures that serve as examples cannot be test pictures too."
        )
    return query, program.writable_folder("output", output)


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
                f"class {name!r} of --support={FLAGS.support} has no picture"
                + (" that can be read." if paths else ".")
            )
        images.append(pictures_of_class)
        labels += [label] * len(pictures_of_class)
    return to_network(np.concatenate(images)), np.array(labels, np.int32), skipped


def report(skipped):
    for file, reason in skipped:
        print(f"Skipped {file}: {reason}.", file=sys.stderr)


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


def main():
    query_folder, output = check_folders()
    found = folders.class_folders(FLAGS.support)
    classes = list(found)
    if len(classes) < 2:
        raise program.UsageError(
            f"--support={FLAGS.support} has the single class {classes[0]!r}; at least 2 are needed."
        )
    learner, size = load_learner(len(classes))
    support_images, support_labels, skipped = read_support(found, size)
    paths = [path for paths in folders.find_pictures(query_folder).values() for path in paths]
    if not paths:
        raise program.UsageError(f"--query={FLAGS.query} has no pictures.")
    images, read, unreadable = folders.read_pictures(paths, size)
    report(unreadable)
    skipped += unreadable
    if not read:
        raise program.UsageError(f"--query={FLAGS.query} has no picture that can be read.")
    query_images = to_network(images)
    probabilities = predict(learner, support_images, support_labels, query_images)

    files_read = [path.relative_to(query_folder).as_posix() for path in read]
    labels = {name: label for label, name in enumerate(classes)}
    truth = np.array([labels.get(name.rpartition("/")[0], -1) for name in files_read])
    known = truth >= 0
    accuracy = None
    print(f"{len(read)} pictures, {len(classes)} classes: {classes}.")
    if known.any():
        accuracy = float((probabilities.argmax(axis=1) == truth)[known].mean())
        print(f"Accuracy {accuracy:.2%} over the {known.sum()} pictures in folders of classes.")
    others = {name.rpartition("/")[0] for name in files_read} - {*classes, ""}
    if others:
        print(f"Not names of classes, so without a share in the accuracy: {sorted(others)}.")

    table = predictions_table(files_read, classes, probabilities)
    write_file(output / "predictions.csv", table.encode())
    sheet = pictures.contact_sheet(
        support_images, support_labels, query_images, probabilities, classes, truth
    )
    write_file(output / "contact_sheet.png", tf.io.encode_png(sheet).numpy())
    files.write_json(
        output / "results.json",
        {
            "experiment": "classify",
            "preset": FLAGS.preset,
            "classes": classes,
            "support_pictures": len(support_labels),
            "query_pictures": len(read),
            "labelled_query_pictures": int(known.sum()),
            "accuracy": accuracy,
            "skipped": [{"file": str(file), "reason": reason} for file, reason in skipped],
            "versions": files.versions(),
        },
    )
    print(f"Predictions: {output / 'predictions.csv'}; pictures: {output / 'contact_sheet.png'}")
    if skipped:
        print(f"{len(skipped)} pictures could not be read, see above.", file=sys.stderr)
        return SOME_SKIPPED
    return 0


if __name__ == "__main__":
    program.run(main)
