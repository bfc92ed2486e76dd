"""Tests of the demo: its refusals, and its page in a browser without a screen."""

import base64
import contextlib
import importlib.util
import io
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image, ImageDraw

from experiments import demo
from meta_keras import recognition
from meta_keras.errors import PictureError

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Strokes, in parts of the canvas.
SIGNS = {
    "cross": [[(0.3, 0.3), (0.7, 0.7)], [(0.7, 0.3), (0.3, 0.7)]],
    "box": [[(0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7), (0.3, 0.3)]],
}
# Runs the demo, and names every machine that it speaks to.
WATCHED = """
import runpy, sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        if arguments[1][0] not in ("127.0.0.1", "::1", "localhost", "0.0.0.0"):
            print("spoke to", arguments[1], flush=True)
    if event == "socket.getaddrinfo" and arguments[0] not in ("127.0.0.1", "localhost", None):
        print("spoke to", arguments[0], flush=True)
sys.addaudithook(watch)
runpy.run_module("experiments.demo", run_name="__main__")
"""


@pytest.fixture(scope="session")
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def demo_page():
    pytest.importorskip("gradio", reason="the extra [demo] is not installed")
    from experiments import demo_page

    return demo_page


def test_without_gradio(refuse, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'gradio" in refuse(demo)


def test_refusals(refuse, demo_page, free_port):
    assert "tells exactly 5 classes apart" in refuse(demo, "--preset=lstm_omniglot_5way_1shot")
    assert "backbone=nowhere.keras" in refuse(demo, "--backbone=nowhere.keras")
    assert "port" in refuse(demo, "--port=0")
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port))
        other.listen()
        assert f"--port={free_port} cannot be used" in refuse(demo, f"--port={free_port}")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], "class 1"),
        (["a", "class 1"], "class 3"),
        (["class 2"], "class 3"),
        (["class 3", "class 4"], "class 5"),
    ],
)
def test_a_class_without_a_name_gets_a_free_one(demo_page, names, expected):
    assert demo_page.free_name(names) == expected


def test_drawings_are_read_as_files_are(demo_page):
    assert demo_page.read_drawing(None, 28) is None
    image = Image.new("RGB", (300, 300), "white")
    ImageDraw.Draw(image).line([(80, 90), (220, 240)], fill="black", width=8)
    file = io.BytesIO()
    image.save(file, "PNG")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    pictures, shown = demo_page.read_drawing(url, 28)
    assert pictures.shape == (1, 28, 28, 1) and pictures.dtype == np.float32
    assert pictures.max() == 1 and pictures[0, 0, 0] == 0
    np.testing.assert_array_equal(255 - shown, np.uint8(np.rint(255 * pictures[..., 0])))
    np.testing.assert_array_equal(demo_page.read_picture(file, 28), 255 - shown[0])


@pytest.fixture
def tiny_backbone(tmp_path):
    """A file of a backbone whose features are a picture's colours in four places."""
    layers = [keras.layers.AveragePooling2D(8), keras.layers.Flatten()]
    backbone = keras.Sequential([keras.Input((16, 16, 3)), *layers])
    backbone.save(tmp_path / "backbone.keras")
    return tmp_path / "backbone.keras"


def test_uploads(demo_page, tiny_backbone, tmp_path):
    photographs = recognition.Photographs(tiny_backbone)
    assert demo_page.read_uploads(None, photographs) is None
    good = str(photograph(tmp_path / "good.png", (255, 0, 0), (0, 0, 255)))
    features, shown = demo_page.read_uploads([good, good], photographs)
    np.testing.assert_allclose(features[0].reshape(2, 2, 3)[:, 0], 2 * [[255, 0, 0]], atol=5)
    assert features.shape == (2, 12) and shown.shape == (2, 96, 96, 3)
    (tmp_path / "bad.jpg").write_bytes(b"nonsense")
    with pytest.raises(PictureError, match=r"^bad.jpg: damaged") as error:
        demo_page.read_uploads(str(tmp_path / "bad.jpg"), photographs)
    assert str(tmp_path) not in str(error.value)


@pytest.fixture
def address(tiny_backbone, free_port, tmp_path):
    """Where the demo runs; ctrl-C ends it, no upload stays, no other machine was spoken to."""
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    flags = [f"--port={free_port}", f"--backbone={tiny_backbone}"]
    # A process that others started in the background may have been told to ignore ctrl-C.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    with open(tmp_path / "out", "w+") as out, open(tmp_path / "err", "w+") as err:
        process = subprocess.Popen(
            [sys.executable, "-c", heed + WATCHED, *flags],
            cwd=REPOSITORY,
            env=environment,
            stdout=out,
            stderr=err,
        )
        with contextlib.ExitStack() as stack:
            stack.callback(process.kill)
            deadline = 120
            while "Open " not in (tmp_path / "out").read_text() and deadline:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.5)
                assert process.poll() is None, (tmp_path / "err").read_text()[-2000:]
                deadline -= 0.5
            [uploads] = (tmp_path / "temporary").glob("meta_keras_demo_*")
            yield f"http://127.0.0.1:{free_port}"
            assert list(uploads.rglob("*.jpg"))
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0, (tmp_path / "err").read_text()[-2000:]
    said = (tmp_path / "out").read_text().splitlines()
    assert said == [
        f"Open http://127.0.0.1:{free_port}/ in a browser; ctrl-C ends it.",
        "",
        "Stopped.",
    ]


@pytest.fixture
def browser_page():
    """A page of Chromium without a screen, and all addresses it asks for."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not importlib.util.find_spec("gradio"):
        pytest.skip("the extra [demo] is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.set_default_timeout(30_000)
        yield page, asked
        browser.close()


def draw(page, canvas, sign, smaller=1.0):
    box = page.locator("canvas").nth(canvas).bounding_box()
    corner, side = np.array([box["x"], box["y"]]), box["width"]
    for stroke in SIGNS[sign]:
        points = corner + side * (0.5 + smaller * (np.array(stroke) - 0.5))
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=4)
        page.mouse.up()


def photograph(file, left, right, orientation=1):
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:, :20], pixels[:, 20:] = left, right
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(file, quality=95, exif=exif)
    return file


def test_page(browser_page, address, tmp_path):
    page, asked = browser_page
    page.goto(address)
    page.locator("canvas[data-ready]").nth(1).wait_for()
    panel = page.locator("[role=tabpanel]:visible")
    panel.get_by_role("button", name="Add example").click()
    page.get_by_text("There is no example to add yet").wait_for()
    for sign in SIGNS:
        draw(page, 0, sign)
        panel.get_by_label("Its name").fill(sign)
        panel.get_by_role("button", name="Add example").click()
        panel.get_by_text(sign, exact=True).first.wait_for()  # below its picture
    for sign in reversed(SIGNS):
        draw(page, 1, sign, smaller=0.8)
        panel.locator("h2").get_by_text(sign, exact=True).wait_for()
        panel.get_by_role("button", name="clear").nth(1).click()
        panel.locator("h2").wait_for(state="detached")

    page.get_by_role("tab", name="Photographs").click()
    panel.get_by_text("Drop one or a few").wait_for()
    red, blue = (250, 0, 0), (0, 0, 250)
    for name, colours in (("red left", (red, blue)), ("blue left", (blue, red))):
        files = [photograph(tmp_path / f"{name} {n}.jpg", *colours) for n in range(2)]
        panel.locator("input[type=file]").first.set_input_files(files)
        panel.get_by_text(f"{name} 1").first.wait_for()
        panel.get_by_label("Its name").fill(name)
        panel.get_by_role("button", name="Add example").click()
        panel.get_by_text(name, exact=True).first.wait_for()
    turned = photograph(tmp_path / "turned.jpg", blue, red, orientation=3)
    panel.locator("input[type=file]").last.set_input_files(turned)
    panel.locator("h2").get_by_text("red left", exact=True).wait_for()
    assert {url.split("/")[2] for url in asked if url.startswith("http")} == {address[7:]}
