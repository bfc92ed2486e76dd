"""Classifies pictures from one or a few examples of every class, offline.

    python -m experiments.classify --support=DIR --query=DIR --output=DIR

--support holds a folder for every class with one or a few pictures in it. --query holds the
pictures to classify; those in folders with the names of classes also tell the accuracy. A picture
shows one character, ink on plain paper or the other way round, in any size, colour or grey.

Exit code: 0 all pictures were read; 3 some files could not be read and were skipped; 2 the user
asked for something that cannot be (1 for a bad flag).
"""

import functools
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import flags

from experiments import program
from meta_keras import recognition

FLAGS = flags.FLAGS

flags.DEFINE_string("support", None, "Folder of class folders, one or a few pictures in each.")
flags.DEFINE_string("query", None, "Folder of pictures to classify, or of class folders of them.")
flags.DEFINE_string("output", None, "Folder for predictions.csv, contact_sheet.png, results.json.")
flags.DEFINE_string(
    "preset", "prototypical_omniglot", "Trained few-shot learner (a name or a folder)."
)
flags.mark_flags_as_required(["support", "query", "output"])

SOME_SKIPPED = 3  # exit code


def main():
    _, _, skipped = recognition.classify(
        FLAGS.support,
        FLAGS.query,
        FLAGS.output,
        FLAGS.preset,
        inform=print,
        warn=functools.partial(print, file=sys.stderr),
    )
    output = pathlib.Path(recognition.encodable(FLAGS.output))
    print(f"Predictions: {output / 'predictions.csv'}; pictures: {output / 'contact_sheet.png'}")
    if skipped:
        print(f"{len(skipped)} files could not be read, see above.", file=sys.stderr)
        return SOME_SKIPPED
    return 0


if __name__ == "__main__":
    program.run(main)
