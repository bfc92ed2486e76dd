"""From folders of pictures to written predictions."""

import json

import numpy as np
import tensorflow as tf
from absl import logging

from meta_keras.data import HALF_TONES, half_tones
from meta_keras.errors import SettingError
from meta_keras.files import versions, writable_folder
from meta_keras.recognition.checks import (
    check_folders,
    check_options,
    check_other_runs,
    check_preset_rejects,
    check_saving,
    check_sources,
    check_targets,
    find_pictures,
)
from meta_keras.recognition.output import (
    NONE,
    PAGE,
    RESULTS,
    SHEET,
    TABLE,
    predictions_table,
    write_all,
)
from meta_keras.recognition.page import page
from meta_keras.recognition.reading import (
    Characters,
    Photographs,
    preset_reader,
    read_support,
)
from meta_keras.recognition.recognizer import Recognizer
from meta_keras.texts import encodable, printable

PRESET = "prototypical_omniglot"


def classify(
    support,
    query,
    output,
    preset=None,
    *,
    backbone=None,
    head=None,
    html=False,
    save=None,
    reject=False,
    inform=logging.info,
    warn=logging.warning,
):
    """Classifies the pictures of a folder; writes predictions, a contact sheet and results.

    `output` gets `predictions.csv` (a row a picture: its file, the class with the highest
    probability, the probabilities of all classes), `contact_sheet.png`, `results.json` (how the
    answers were made and what was found) and with `html` a `report.html`, of which an earlier one
    goes else. With the file of `save` they are written all or none.

    Args:
        support: path of a folder with a folder for every class, one or a few pictures in each.
        query: path of a folder of pictures, or of folders of them. Those in folders with the names
            of classes tell the accuracy.
        output: path of the folder to write to, made if it is not there.
        preset: name or folder of a trained few-shot learner; by default `"prototypical_omniglot"`.
            What it was trained on tells what the pictures are: characters, or, for one of pictures
            in colour, photographs.
        backbone: path of a `.keras` file, or a name of `keras.applications`: the pictures are
            photographs, seen by this network.
        head: what compares them, `"ridge"`, `"simple_shot"` or `"l2n"`, see `Photographs`; by
            default `"ridge"`, and with `reject`, which needs distances that do not depend on other
            classes, `"l2n"`.
        html: whether to write `report.html`, too: pictures and answers on one page for a browser.
        save: path of a `.keras` file for the classifier of photographs: pixels 0..255 of its
            network's size `[batch, H, W, 3]` to the probabilities of the columns of
            `predictions.csv`, a model of Keras alone.
        reject: whether to answer "none of these" where nothing fits, see `Recognizer`.
        inform: function that is told in a sentence what was found, and the accuracy.
        warn: function that is told in a sentence of every file that was skipped, at once; and if
            the pictures hardly show what the preset is for.

    Returns:
        `(table, accuracy, skipped)`: str, the content of `predictions.csv`; float, the accuracy
        over the pictures in folders with the names of classes, None if there are none; a list of
        `(file, reason)`.

    Raises:
        SettingError: the folders lie in each other, one has no pictures or cannot be written, the
            preset is not for such classes or pictures, arguments exclude each other, or a file
            would take the place of a folder, of the backbone or of something in the preset.
        DatasetError: `support` or `query` is no folder or cannot be read, or `support` has no
            class folders.
        PresetError: there is no such preset, or it is no few-shot learner.
        BackboneError: there is no such backbone.
    """
    check_options(preset, backbone, head, save, reject)
    support, query, output = check_folders(support, query, output)
    save = check_targets(output, (TABLE, SHEET, RESULTS, PAGE), save, support, query)
    check_sources(output, save, backbone, preset or PRESET)
    check_other_runs(output, save)

    def report(skipped):
        for file, reason in skipped:
            warn(printable(f"Skipped {file}: {reason}."))

    found, paths, skipped = find_pictures(support, query, reject, report)
    classes = list(found)
    if backbone:
        head = head or ("l2n" if reject else "ridge")
        reader = Photographs(backbone, head, keep=True)
    else:
        reader = preset_reader(preset or PRESET, len(classes))
    if reject:
        check_preset_rejects(reader.learner, preset or PRESET)
    if save:
        check_saving(reader, save, preset or PRESET)
        writable_folder("save", save.parent)
    writable_folder("output", output)
    inputs, support_shown, support_labels, unreadable = read_support(reader, found, report)
    skipped += unreadable
    recognizer = Recognizer(reader.learner, inputs, support_labels, reject)
    characters = isinstance(reader, Characters)
    tones = [half_tones(inputs[..., 0])] if characters else []
    shown, read, probabilities = [], [], []
    for inputs, images, files, unreadable in reader.batches(paths):
        report(unreadable)
        skipped += unreadable
        if files:
            probabilities.append(recognizer(inputs))
            shown.append(images)
            read += files
            tones += [half_tones(inputs[..., 0])] if characters else []
    if not read:
        raise SettingError(f"query={query} has no picture that can be read.")
    if characters and np.median(np.concatenate(tones)) > HALF_TONES:
        warn(
            "What the pictures show looks like no characters on plain paper, which "
            f"preset={preset or PRESET} is for; name a `backbone` for photographs."
        )
    shown, probabilities = np.concatenate(shown), np.concatenate(probabilities)

    names = [path.relative_to(query).as_posix() for path in read]
    labels = {name: label for label, name in enumerate(classes)}
    truth = np.array([labels.get(name.rpartition("/")[0], -1) for name in names])
    others = {name.rpartition("/")[0] for name in names} - {*classes, ""}
    answers = [*classes, NONE] if reject else classes
    strangers = np.array([name.rpartition("/")[0] in others for name in names])
    found, sentences = _judge(probabilities, truth, strangers, classes, others, reject)
    if reject:
        sentences.append(_left_out(recognizer.left_out))
    for sentence in sentences:
        inform(sentence)

    table = predictions_table(names, answers, probabilities)
    if reject:
        truth = np.where(strangers, len(classes), truth)
    from meta_keras import plots  # loads matplotlib

    sheet = plots.contact_sheet(support_shown, support_labels, shown, probabilities, answers, truth)
    results = {
        "experiment": "classify",
        **({"backbone": encodable(backbone), "head": head} if backbone else {}),
        **({} if backbone else {"preset": encodable(preset or PRESET)}),
        "support": encodable(support),
        "query": encodable(query),
        "save": encodable(save) if save else None,
        "html": html,
        "reject": reject,
        "threshold": recognizer.threshold,
        "left_out": recognizer.left_out,
        "classes": list(map(encodable, answers)),
        "support_pictures": len(support_labels),
        "query_pictures": len(read),
        **found,
        "skipped": [{"file": encodable(file), "reason": reason} for file, reason in skipped],
        "versions": versions(),
    }
    pictures = support_shown, support_labels, names, shown, probabilities, answers, truth
    contents = {
        TABLE: table.encode(),
        SHEET: tf.io.encode_png(sheet).numpy(),
        RESULTS: (json.dumps(results, indent=1) + "\n").encode(),
        PAGE: page(sentences, *pictures).encode()
        if html
        else None,  # An old one would tell of other answers.
    }
    model = recognizer.model(reader.from_pixels()) if save else None
    write_all(output, contents, save, model)
    return table, found["accuracy"], skipped


def _judge(probabilities, truth, strangers, classes, others, reject):
    """What is right, as far as it is known: `(results, sentences)`."""
    known, predicted = truth >= 0, probabilities.argmax(axis=1)
    accuracy = float((predicted == truth)[known].mean()) if known.any() else None
    found = {"labelled_query_pictures": int(known.sum()), "accuracy": accuracy}
    sentences = [f"{len(truth)} pictures, {len(classes)} classes: {classes}."]
    if known.any():
        sentences.append(
            f"Accuracy {accuracy:.2%} over the {known.sum()} pictures in folders of classes."
        )
    if reject:
        rejected = predicted == len(classes)
        for name, pictures, where in (
            ("rejected_of_classes", known, "folders of classes (wrongly)"),
            ("rejected_of_others", strangers, "other folders (rightly)"),
        ):
            found[name] = float(rejected[pictures].mean()) if pictures.any() else None
            if pictures.any():
                sentences.append(
                    f"{NONE.capitalize()}: {found[name]:.2%} of the {pictures.sum()} pictures in "
                    f"{where}."
                )
    elif others:
        sentences.append(
            f"Not names of classes, so without a share in the accuracy: {sorted(others)}."
        )
    return found, sentences


def _left_out(rates):
    """What `rejection_rates` of the examples are, in a sentence."""
    if not rates["known"]:
        return (
            f"{NONE.capitalize()}, of the examples: one of a class tells only how alike classes "
            "are; two or more would tell how often this answer is right."
        )
    return (
        f"{NONE.capitalize()}, of the examples (which flatter few classes): "
        f"{1 - rates['known_accepted']:.2%} of {rates['known']} left out alone (wrongly), "
        f"{rates['strangers_rejected']:.2%} of {rates['strangers']} left out with their class "
        "(rightly)."
    )
