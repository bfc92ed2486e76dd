"""Own pictures: from a few examples of every class to answers for others.

    from meta_keras import recognition

    table, accuracy, skipped = recognition.classify("examples", "pictures", "answers")

Pictures show one character each, as `meta_keras.data.ink` describes them; or, where a backbone is
named, they are photographs.

    recognizer = recognition.Recognizer(learner, support_images, support_labels)
    probabilities = recognizer(images)
"""

from meta_keras.recognition.classification import classify
from meta_keras.recognition.output import NONE, predictions_table
from meta_keras.recognition.reading import (
    HEADS,
    Characters,
    LearnedPhotographs,
    Photographs,
    Reader,
    load_learner,
    preset_reader,
    read_support,
    to_network,
)
from meta_keras.recognition.recognizer import Recognizer, predict
from meta_keras.recognition.rejection import (
    leave_one_out,
    rejection_rates,
    rejection_threshold,
)

__all__ = [
    "HEADS",
    "NONE",
    "Characters",
    "LearnedPhotographs",
    "Photographs",
    "Reader",
    "Recognizer",
    "classify",
    "leave_one_out",
    "load_learner",
    "predict",
    "predictions_table",
    "preset_reader",
    "read_support",
    "rejection_rates",
    "rejection_threshold",
    "to_network",
]
