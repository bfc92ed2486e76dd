"""Tests of the report for a browser."""

import base64
import html.parser
import io

import numpy as np
from PIL import Image

from meta_keras.recognition.page import page

EVIL = "<script>alert('x')</script>&\n\x1b"


class Elements(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.pictures, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "img":
            self.pictures.append(dict(attributes)["src"])

    def handle_data(self, data):
        self.text += data


def make(shown):
    probabilities = np.array([[0.7, 0.3], [0.4, 0.6]])
    names = [EVIL, "b.png"]
    text = page(
        [EVIL], shown, [0, 1], names, shown, probabilities, ["a<b>", EVIL], np.array([0, 0])
    )
    return text, Elements(text)


def test_names_are_text():
    _, found = make(np.zeros((2, 4, 4, 3), np.uint8))
    assert "script" not in found.tags and found.tags.count("b") == 4
    assert r"<script>alert('x')</script>&\n\x1b" in found.text and "\x1b" not in found.text
    assert "a<b> 70%" in found.text


def test_right_and_wrong_and_nothing_from_elsewhere():
    text, found = make(np.zeros((2, 4, 4, 3), np.uint8))
    assert text.count('class="right"') == text.count('class="wrong"') == 1
    assert "http" not in text and {"link", "script", "iframe"}.isdisjoint(found.tags)


def test_pictures_are_on_the_page():
    colours = np.zeros((2, 4, 4, 3), np.uint8)
    colours[0] = [200, 30, 30]
    drawings = np.zeros((2, 4, 4, 1), np.float32)
    drawings[0] = 1
    for shown, expected in ((colours, (200, 30, 30)), (drawings, (0, 0, 0))):
        _, found = make(shown)
        assert len(found.pictures) == 4
        data = base64.b64decode(found.pictures[0].partition(",")[2])
        pixel = Image.open(io.BytesIO(data)).convert("RGB").getpixel((1, 1))
        np.testing.assert_allclose(pixel, expected, atol=6)
