"""Tests of reading photographs."""

import io

import numpy as np
import pytest
from PIL import Image

from meta_keras.data.photographs import read_photograph, read_photographs
from meta_keras.errors import PictureError

RED, GREEN, BLUE = (250, 10, 20), (15, 240, 10), (20, 10, 245)


def quadrants(width=40, height=40):
    """Red above left, green above right, blue below."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:] = BLUE
    pixels[: height // 2, : width // 2] = RED
    pixels[: height // 2, width // 2 :] = GREEN
    return Image.fromarray(pixels)


def read(image, size=8, **how):
    file = io.BytesIO()
    image.save(file, **{"format": "PNG", **how})
    file.seek(0)
    return read_photograph(file, size)


def assert_quadrants(pixels, tolerance=2):
    for place, colour in (((1, 1), RED), ((1, -2), GREEN), ((-2, 1), BLUE), ((-2, -2), BLUE)):
        np.testing.assert_allclose(pixels[place].astype(int), colour, atol=tolerance)


def test_form_and_colours():
    pixels = read(quadrants())
    assert pixels.shape == (8, 8, 3) and pixels.dtype == np.uint8
    assert_quadrants(pixels)
    assert_quadrants(read(quadrants(4, 4)), tolerance=40)  # enlarged


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turn_that_a_camera_notes(orientation):
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = quadrants(400, 400)
    if orientation in turns:
        image = image.transpose(turns[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_quadrants(read(image, format="JPEG", exif=exif, quality=95), tolerance=20)


@pytest.mark.parametrize(
    ("mode", "how", "tolerance"),
    [
        ("RGBA", {}, 2),
        ("P", {}, 60),
        ("CMYK", {"format": "JPEG", "quality": 95}, 20),
    ],
)
def test_modes_of_colour(mode, how, tolerance):
    assert_quadrants(read(quadrants().convert(mode), **how), tolerance)


def test_lab():
    """(L*, a*, b*) under D50 by the definitions of CIE and sRGB: (50.9, 49.3, 20.3) is (200, 80,
    90), (63.0, -39.3, 38.0) is (90, 170, 80), (44.3, 13.6, -50.7) is (80, 100, 190). Files have
    255 for L* = 100, and a*, b* in two's complement."""
    lab = np.zeros((8, 8, 3), np.uint8)
    lab[:] = 113, 14, 256 - 51
    lab[:4, :4] = 130, 49, 20
    lab[:4, 4:] = 161, 256 - 39, 38
    file = io.BytesIO()
    Image.frombytes("LAB", (8, 8), lab.tobytes()).save(file, "TIFF")
    pixels = read_photograph(file, 8).astype(int)
    for place, colour in (
        ((1, 1), (200, 80, 90)),
        ((1, 6), (90, 170, 80)),
        ((6, 3), (80, 100, 190)),
    ):
        np.testing.assert_allclose(pixels[place], colour, atol=3)


@pytest.mark.parametrize("mode", ["L", "1", "I;16", "I", "F"])
def test_modes_of_grey(mode):
    grey = np.zeros((16, 16))
    grey[:, 8:] = 1
    images = {
        "L": lambda: Image.fromarray(np.uint8(255 * grey)),
        "1": lambda: Image.fromarray(grey > 0),
        "I;16": lambda: Image.fromarray(np.uint16(65535 * grey)),
        "I": lambda: Image.fromarray(np.int32(4095 * grey)),
        "F": lambda: Image.fromarray(np.float32(grey)),
    }
    image = images[mode]()
    assert image.mode == mode
    pixels = read(image, format="TIFF")
    assert (pixels[:, 1] == 0).all() and (pixels[:, -2] == 255).all()


def test_middle_square():
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = GREEN
    assert (read(Image.fromarray(pixels))[:, 2:-2] == GREEN).all()


def test_transparency_lies_on_white():
    image = quadrants().convert("RGBA")
    pixels = np.array(image)
    pixels[20:, :, 3] = 0
    found = read(Image.fromarray(pixels))
    np.testing.assert_allclose(found[1, 1], RED, atol=2)
    np.testing.assert_array_equal(found[-2, 1], (255, 255, 255))
    with pytest.raises(PictureError, match="transparent everywhere"):
        read(Image.new("RGBA", (9, 9)))


def test_first_picture_of_an_animation():
    others = [Image.new("RGB", (40, 40), "black")]
    assert_quadrants(read(quadrants(), format="GIF", save_all=True, append_images=others), 60)


def test_large_jpeg_is_read_as_it_is_when_reduced():
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
    image = coarse.resize((800, 800), Image.Resampling.NEAREST)
    difference = np.int32(read(image, format="JPEG", quality=95)) - read(image)
    assert np.abs(difference).mean() < 4


def test_files_that_are_no_pictures(tmp_path):
    for name, content in (("empty.png", b""), ("cut.jpg", b"\xff\xd8 cut"), ("text.png", b"text")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PictureError, match="damaged or not a picture"):
            read_photograph(tmp_path / name, 8)
    quadrants(300, 300).save(tmp_path / "half.jpg")
    whole = (tmp_path / "half.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PictureError, match="truncated"):
        read_photograph(tmp_path / "half.jpg", 8)
    with pytest.raises(PictureError, match="not a regular file"):
        read_photograph(tmp_path, 8)
    with pytest.raises(PictureError, match="not numbers"):
        read(Image.fromarray(np.full((4, 4), np.nan, np.float32)), format="TIFF")


def test_batches(tmp_path):
    files = []
    for number in range(5):
        files.append(tmp_path / f"{number}.png")
        Image.new("RGB", (9, 9), (50 * number, 0, 0)).save(files[-1])
    files[3].write_bytes(b"nonsense")
    batches = list(read_photographs(files, 4, batch_size=2))
    assert [len(images) for images, _, _ in batches] == [2, 1, 1]
    assert [read for _, read, _ in batches] == [files[:2], files[2:3], files[4:]]
    assert [file for _, _, skipped in batches for file, _ in skipped] == [files[3]]
    assert "damaged" in batches[1][2][0][1]
    reds = [image[0, 0, 0] for images, _, _ in batches for image in images]
    assert reds == [0, 50, 100, 200]
    assert list(read_photographs([], 4)) == []
