"""The page of the demo: what is drawn or dropped, handed to a recognizer; its answers, shown."""

import base64
import dataclasses
import io
import itertools
import pathlib

import gradio
import numpy as np

from meta_keras import recognition
from meta_keras.data import read_picture
from meta_keras.errors import PictureError
from meta_keras.texts import printable, shortened

MOST = 10  # classes
CANVAS = 300  # Pixels a side.
LINE = 8  # Pixels; a tenth of a character is too thick.
LETTERS = 24  # of a name
CHARACTERS = (
    "Draw a sign, give it a name and add it; then another. Any signs will do, and one example of "
    "each. From the second on, what you draw on the right is recognised."
)
PHOTOGRAPHS = (
    "Drop one or a few photographs of a class, give it a name and add it; then another. From the "
    "second on, the photograph that you drop on the right is recognised."
)


@dataclasses.dataclass(frozen=True)
class Example:
    """A picture of a class that was named.

    Attributes:
        name: str.
        picture: float32, as the learner takes it.
        shown: uint8 `[H, W]` or `[H, W, 3]`.
    """

    name: str
    picture: np.ndarray
    shown: np.ndarray


def page(learner, size, photographs=None):
    """The page, as it is before it is served.

    Args:
        learner: an `EpisodicLearner` of characters, of any number of classes.
        size: side of its pictures in pixels.
        photographs: a `recognition.Photographs`; None for no tab of photographs.

    Returns:
        A `gradio.Blocks`.
    """
    with gradio.Blocks(title="meta_keras", analytics_enabled=False) as blocks:
        with gradio.Tab("Characters"):
            _tab(CHARACTERS, learner, lambda value: read_drawing(value, size), _canvas, _canvas)
        if photographs:
            with gradio.Tab("Photographs"):
                learner = photographs.learner
                _tab(PHOTOGRAPHS, learner, lambda v: read_uploads(v, photographs), _drop, _drop_one)
    return blocks


def theme():
    """Gradio's plainest, in the fonts of the machine: the page asks no other machine for any."""
    return gradio.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"])


def read_drawing(drawing, size):
    """What was drawn, as files with drawings are read.

    Args:
        drawing: a PNG as a data URL, as from `_canvas`; None while nothing is drawn.
        size: side of the picture in pixels.

    Returns:
        `(pictures, shown)`: float32 `[1, size, size, 1]` in [0, 1], ink 1, and uint8
        `[1, size, size]`, ink 0; None while nothing is drawn.

    Raises:
        PictureError: it is no character.
    """
    if not drawing:
        return None
    png = base64.b64decode(drawing.partition(",")[2])
    ink = read_picture(io.BytesIO(png), size)[None]
    return recognition.to_network(ink), 255 - ink


def read_uploads(files, photographs):
    """What was dropped, as `photographs` reads it.

    Args:
        files: path of a file, or a list of paths; None while nothing is dropped.
        photographs: a `recognition.Photographs`.

    Returns:
        `(features, shown)`: float32 `[n, D]` and uint8 `[n, side, side, 3]`; None while nothing is
        dropped.

    Raises:
        PictureError: one of them is no picture.
    """
    if not files:
        return None
    features, shown, _, skipped = photographs.read(np.atleast_1d(files).tolist())
    if skipped:
        file, reason = skipped[0]
        name = pathlib.Path(file).name  # Where it was uploaded to is of no use to anybody.
        raise PictureError(f"{name}: {reason.replace(file, name)}")
    return features, shown


def _tab(words, learner, read, example_input, query_input):
    """Examples are given on the left, and pictures to recognise on the right.

    Args:
        words: what to do, for a start.
        learner: an `EpisodicLearner`.
        read: function of an input's value to `(pictures, shown)`, see `read_drawing`.
        example_input, query_input: functions of a label to an input of the page.
    """
    examples, recognizer = gradio.State([]), gradio.State(None)  # Every visitor has their own.
    gradio.Markdown(words)
    with gradio.Row():
        with gradio.Column():
            given = example_input("An example")
            name = gradio.Textbox(label="Its name", max_length=LETTERS, placeholder="class 1, ...")
            with gradio.Row():
                add_button = gradio.Button("Add example", variant="primary")
                restart = gradio.Button("Start over")
        with gradio.Column():
            asked = query_input("What is this?")
            answer = gradio.Label(label="Answer", num_top_classes=MOST)
    gallery = gradio.Gallery(
        label="Examples", columns=6, fit_columns=False, height=250, interactive=False,
        object_fit="contain", allow_preview=False, buttons=[],
    )  # fmt: skip

    def add(value, name, examples):
        if not value:
            gradio.Info("There is no example to add yet.")
        found = _in_words(read, value)
        if found is None:
            return [gradio.skip()] * len(added)
        name = shortened(printable(name.strip()), LETTERS) or free_name(_names(examples))
        examples = [*examples, *(Example(name, *parts) for parts in zip(*found, strict=True))]
        names = _names(examples)
        if len(names) > MOST:
            gradio.Warning(f"There are {MOST} names already, the most; start over, or use one.")
            return [gradio.skip()] * len(added)
        recognizer = None
        if len(names) > 1:
            labels = np.array([names.index(example.name) for example in examples], np.int32)
            pictures = np.stack([example.picture for example in examples])
            recognizer = recognition.Recognizer(learner, pictures, labels)
        shown = [(example.shown, example.name) for example in examples]
        return examples, recognizer, shown, None, ""

    def recognise(value, examples, recognizer):
        found = _in_words(read, value)
        if found is None or recognizer is None:
            return None
        [probabilities] = recognizer(found[0])
        return dict(zip(_names(examples), map(float, probabilities), strict=True))

    added = [examples, recognizer, gallery, given, name]
    for event in (add_button.click, name.submit):
        event(add, [given, name, examples], added).then(
            recognise, [asked, examples, recognizer], answer, show_progress="hidden"
        )
    asked.change(
        recognise, [asked, examples, recognizer], answer, show_progress="hidden",
        trigger_mode="always_last",
    )  # fmt: skip
    restart.click(lambda: ([], None, [], None, "", None, None), None, [*added, asked, answer])


def free_name(names):
    """A name for one more class, which none of the others has."""
    numbers = itertools.count(len(names) + 1)
    return next(name for name in map("class {}".format, numbers) if name not in names)


def _names(examples):
    """The names of the classes, in the order of their first examples."""
    return list(dict.fromkeys(example.name for example in examples))


def _in_words(read, value):
    """`read(value)`; None, and a word on the page, where it cannot be read."""
    try:
        return read(value)
    except PictureError as error:
        gradio.Warning(f"This cannot be read: {error}.")
        return None


def _canvas(label):
    """A square to draw on with a mouse, a pen or a finger."""
    return gradio.HTML(
        html_template="<div>${label} <button>clear</button></div>"
        "<canvas width=${side} height=${side}></canvas>",
        css_template="canvas { width: 100%; max-width: 420px; aspect-ratio: 1; border: 1px solid "
        "#888; border-radius: 6px; touch-action: none; cursor: crosshair; display: block } "
        "div { max-width: 420px; margin-bottom: 4px } "
        "button { all: unset; float: right; cursor: pointer; text-decoration: underline }",
        js_on_load=(pathlib.Path(__file__).parent / "demo_canvas.js").read_text(),
        label=label, side=CANVAS, line=LINE,
    )  # fmt: skip


def _drop(label):
    return gradio.File(label=label, file_count="multiple", file_types=["image"])


def _drop_one(label):
    return gradio.Image(label=label, type="filepath", sources=["upload"], buttons=[])
