"""Classifies pictures from one or a few examples of every class, offline.

    python -m experiments.classify --support=DIR --query=DIR --output=DIR

--support holds a folder for every class with one or a few pictures in it. --query holds the
pictures to classify; those in folders with the names of classes also tell the accuracy. A picture
shows one character, ink on plain paper or the other way round, in any size, colour or grey. With

    --backbone=efficientnet_lite0.keras     # or a name of keras.applications, such as MobileNetV2

it is a photograph, of anything; so it is with --preset and the folder of a run on photographs.
--reject answers "none of these" where nothing fits.

Exit code: 0 all pictures were read; 3 some files could not be read and were skipped; 2 the user
asked for something that cannot be (1 for a bad flag).
"""

import pathlib
import sys

from absl import flags

from experiments import program
from meta_keras import recognition
from meta_keras.recognition.classification import PRESET
from meta_keras.texts import printable

SOME_SKIPPED = 3  # exit code


def define_flags(values):
    for name, text in (
        ("support", "Folder of class folders, one or a few pictures in each."),
        ("query", "Folder of pictures to classify, or of class folders of them."),
        ("output", "Folder for predictions.csv, contact_sheet.png, results.json."),
    ):
        flags.DEFINE_string(name, None, text, flag_values=values)
        flags.mark_flag_as_required(name, flag_values=values)
    text = (
        "Trained few-shot learner (a name, or a folder, of a run maybe), for pictures such as it "
        f"was trained on; {PRESET} if none is named."
    )
    flags.DEFINE_string("preset", None, text, flag_values=values)
    text = "Pictures are photographs, seen by this .keras file, or network of keras.applications."
    flags.DEFINE_string("backbone", None, text, flag_values=values)
    text = "What compares photographs: ridge (the default), simple_shot, or l2n (with --reject)."
    flags.DEFINE_enum("head", None, list(recognition.HEADS), text, flag_values=values)
    text = "Write report.html, too: pictures and answers for a browser."
    flags.DEFINE_bool("html", False, text, flag_values=values)
    text = "Save the classifier of photographs as a Keras model in this .keras file."
    flags.DEFINE_string("save", None, text, flag_values=values)
    text = 'Answer "none of these" where nothing fits.'
    flags.DEFINE_bool("reject", False, text, flag_values=values)


def main(values):
    def warn(message):
        print(program.in_flags(message, list(values)), file=sys.stderr)

    _, _, skipped = recognition.classify(
        values.support,
        values.query,
        values.output,
        values.preset,
        backbone=values.backbone,
        head=values.head,
        html=values.html,
        save=values.save,
        reject=values.reject,
        inform=print,
        warn=warn,
    )
    output = pathlib.Path(printable(values.output))
    written = {"Predictions": output / "predictions.csv", "pictures": output / "contact_sheet.png"}
    if values.html:
        written["page"] = output / "report.html"
    if values.save:
        written["classifier"] = printable(values.save)
    print("; ".join(f"{what}: {file}" for what, file in written.items()))
    if skipped:
        print(f"{len(skipped)} files could not be read, see above.", file=sys.stderr)
        return SOME_SKIPPED
    return 0


if __name__ == "__main__":
    program.run(main, define_flags)
