"""A report as a single page of HTML, which opens in any browser, offline."""

import base64
import html
import io

import numpy as np
from PIL import Image

from meta_keras.texts import printable

STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 72em; padding: 0 1em;
       color: #222; background: #fff }
section { display: flex; flex-wrap: wrap; gap: 12px; margin-bottom: 2em }
figure { margin: 0; width: 120px; font-size: 12px; overflow-wrap: anywhere }
img { width: 120px; height: 120px; object-fit: contain; background: #eee;
      image-rendering: auto; border-radius: 4px }
b { display: block } .right { color: #070 } .wrong { color: #b00 } small { color: #666 }
"""
LIKELY = 3  # Answers shown under a picture.


def page(summary, shown_support, support_labels, names, shown, probabilities, answers, truth):
    """The report: examples of every class, then every picture with its likeliest answers.

    Pictures are part of the page; names are shown as they are, whatever is in them.

    Args:
        summary: sentences to begin with.
        shown_support: pictures of the examples, `[m, H, W, 3]` uint8 in colour, or `[m, H, W, 1]`
            float in [0, 1], ink 1.
        support_labels: `[m]` int.
        names: of the n pictures.
        shown: `[n, H, W, C]`, as `shown_support`.
        probabilities: `[n, N]`.
        answers: N names.
        truth: `[n]` int, -1 where the class is not known.

    Returns:
        A str.
    """
    answers = [_text(answer) for answer in answers]
    examples = (
        f"<figure>{_image(image)}<b>{answers[label]}</b></figure>"
        for image, label in zip(shown_support, support_labels, strict=True)
    )
    figures = []
    for name, image, row, label in zip(names, shown, probabilities, truth, strict=True):
        likely = np.argsort(-row, kind="stable")[:LIKELY]
        kind = "" if label < 0 else ' class="right"' if likely[0] == label else ' class="wrong"'
        first, *others = (f"{answers[answer]} {row[answer]:.0%}" for answer in likely)
        figures.append(
            f"<figure>{_image(image)}<b{kind}>{first}</b>{'<br>'.join(others)}<br>"
            f"<small>{_text(name)}</small></figure>"
        )
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
            f"<title>Pictures and their classes</title><style>{STYLE}</style></head><body>",
            "<h1>Pictures and their classes</h1>",
            *(f"<p>{_text(sentence)}</p>" for sentence in summary),
            "<h2>Pictures</h2><section>",
            *figures,
            "</section><h2>Examples</h2><section>",
            *examples,
            "</section></body></html>\n",
        ]
    )


def _text(name):
    return html.escape(printable(name))


def _image(image):
    """A picture as an element of the page: photographs as JPEG, drawings as PNG."""
    file = io.BytesIO()
    if image.shape[-1] == 3:
        kind = "jpeg"
        Image.fromarray(image).save(file, "JPEG", quality=80)
    else:
        kind = "png"
        Image.fromarray(np.uint8(np.rint(255 * (1 - image[..., 0])))).save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="" src="data:image/{kind};base64,{data}">'
