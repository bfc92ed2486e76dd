"""Tests of the preparation of pictures, on pictures made here."""

import io

import numpy as np
import pytest
from PIL import Image

from meta_keras.data.ink import (
    PictureError,
    centre,
    find_ink,
    otsu_threshold,
    read_picture,
)


def letter(side=120, pen=5):
    """An `L` with a bar, bool `[side, side]`; its box is 60 high and 40 wide, off the middle."""
    ink = np.zeros((side, side), bool)
    ink[20:80, 30 : 30 + pen] = True
    ink[80 - pen : 80, 30:70] = True
    return ink


def saved(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    file.seek(0)
    return file


def grey_file(array, kind="PNG", **options):
    return saved(Image.fromarray(np.uint8(np.clip(array, 0, 255))), kind, **options)


@pytest.fixture(scope="module")
def clean():
    """What the network sees of the letter, black on white."""
    return read_picture(grey_file(255 - 255 * letter()))


def difference(picture, other):
    """Mean absolute difference relative to the ink of the other."""
    return np.abs(picture.astype(float) - other).sum() / other.sum()


def test_size_place_and_values(clean):
    assert clean.shape == (28, 28) and clean.dtype == np.uint8
    rows, columns = (np.flatnonzero(clean.max(axis=axis) > 127) for axis in (1, 0))
    # The longer side is 19 pixels, the shorter one two thirds of it, the box in the middle.
    assert abs(np.ptp(rows) + 1 - 19) <= 1
    assert abs(np.ptp(columns) + 1 - 19 * 40 / 60) <= 1
    assert abs((rows[0] + rows[-1] + 1) / 2 - 14) <= 0.5
    assert abs((columns[0] + columns[-1] + 1) / 2 - 14) <= 0.5
    assert clean.max() == 255 and clean.min() == 0
    # It is the letter, not its mirror image: bar at the left and at the bottom.
    assert clean[rows[0], columns[0]] > 127 > clean[rows[0], columns[-1]]
    assert clean[rows[-1], columns[-1]] > 127


@pytest.mark.parametrize("place", [(0, 0), (40, 50), (12, -25)])
@pytest.mark.parametrize("side", [120, 300])
def test_place_and_sheet_do_not_matter(clean, place, side):
    sheet = np.zeros((side, side + 60), bool)
    sheet[:120, :120] = letter()
    moved = np.roll(sheet, place, axis=(0, 1))
    assert difference(read_picture(grey_file(255 - 255 * moved)), clean) < 0.02


@pytest.mark.parametrize("factor", [2, 5, 10])  # 10: larger than the working size
def test_resolution_does_not_matter(clean, factor):
    large = np.kron(letter(), np.ones((factor, factor)))
    assert difference(read_picture(grey_file(255 - 255 * large)), clean) < 0.1


def test_light_ink_on_dark_paper(clean):
    np.testing.assert_array_equal(read_picture(grey_file(255 * letter())), clean)


def test_contrast_does_not_matter(clean):
    assert difference(read_picture(grey_file(130 - 30 * letter())), clean) < 0.02


@pytest.mark.parametrize(
    "mode", ["RGB", "RGBA", "P", "L", "LA", "1", "CMYK", "I;16", "GIF", "BMP", "JPEG"]
)
def test_every_kind_of_picture(clean, mode):
    image = Image.fromarray(np.uint8(255 - 255 * letter()))
    if mode == "I;16":
        file = saved(Image.fromarray(np.uint16(65535 * ~letter())))
    elif mode in ("GIF", "BMP", "JPEG"):
        file = saved(image, mode)
    else:
        file = saved(image.convert(mode), "TIFF" if mode == "CMYK" else "PNG")
    assert difference(read_picture(file), clean) < 0.05


@pytest.mark.parametrize("white", [1.0, 0.02, 4095, 65535])
def test_white_of_deep_pictures_may_be_any_number(clean, white):
    deep = np.float32(white * ~letter())
    np.testing.assert_allclose(read_picture(saved(Image.fromarray(deep), "TIFF")), clean, atol=1)
    if white > 255:
        file = saved(Image.fromarray(np.uint16(deep)))
        np.testing.assert_allclose(read_picture(file), clean, atol=1)
    blank = saved(Image.fromarray(np.full_like(deep, white)), "TIFF")
    with pytest.raises(PictureError, match="blank"):
        read_picture(blank)


def test_transparent_paper_is_white(clean):
    pixels = np.zeros((120, 120, 4), np.uint8)
    pixels[..., 3] = 255 * letter()
    np.testing.assert_array_equal(read_picture(saved(Image.fromarray(pixels))), clean)


def test_orientation_of_a_camera_is_heeded(clean):
    exif = Image.Exif()
    exif[0x0112] = 6  # Turn clockwise to see it upright.
    turned = np.rot90(255 - 255 * letter().astype(int))
    file = grey_file(turned, "JPEG", exif=exif, quality=95)
    assert difference(read_picture(file), clean) < 0.05


def test_photograph(clean):
    """Light falls from a side, a soft shadow lies on the paper, the sensor is noisy."""
    rng = np.random.default_rng(0)
    paper = np.linspace(210, 120, 480)[None] * np.ones((480, 1))
    paper[300:] *= 0.8
    ink = np.kron(letter(), np.ones((4, 4)))
    photo = paper * (1 - 0.7 * ink) + rng.normal(0, 6, ink.shape)
    assert difference(read_picture(grey_file(photo, "JPEG", quality=70)), clean) < 0.15
    # Without a model of the paper no single threshold could separate the two.
    assert (paper * (1 - 0.7 * ink))[ink == 0].min() < 110 and paper.max() * 0.3 < 110


@pytest.mark.parametrize("slope", [0, 0.4, -1.5])
def test_edge_of_a_shadow_is_no_ink(clean, slope):
    x, y = np.meshgrid(np.linspace(-1, 1, 480), np.linspace(-1, 1, 480))
    paper = np.where(x > 0.45 + slope * y, 150, 230)  # The ink is far darker than the shadow.
    ink = np.kron(letter(), np.ones((4, 4)))
    assert difference(read_picture(grey_file(paper * (1 - 0.9 * ink), "JPEG")), clean) < 0.1


@pytest.mark.parametrize("margin", [0, 1, 3])
@pytest.mark.parametrize("pen", [4, 6])
def test_tight_crop(pen, margin):
    """Ink along the edges; at margin 0 it is most of the border."""
    crop = letter(pen=pen)[20 - margin : 80 + margin, 30 - margin : 70 + margin]
    for grey in (255.0 - 255 * crop, 255.0 * crop):
        np.testing.assert_array_equal(find_ink(grey), crop)
    frame = np.pad(np.zeros((60 - 2 * pen, 60 - 2 * pen), bool), pen, constant_values=True)
    np.testing.assert_array_equal(find_ink(255.0 - 255 * frame), frame)


def test_tight_crop_in_uneven_light():
    crop = np.kron(letter()[20:80, 30:70], np.ones((4, 4)))
    paper = np.linspace(230, 130, 160)[None] * np.ones((240, 1))
    paper[180:] *= 0.8
    ink = find_ink(paper * (1 - 0.8 * crop))
    np.testing.assert_array_equal(ink > 0.5, crop)


def test_wide_shadow_in_the_middle_is_no_paper(clean):
    x, y = np.meshgrid(np.linspace(-1, 1, 480), np.linspace(-1, 1, 480))
    paper = np.where(np.maximum(np.abs(x), np.abs(y)) < 0.72, 110, 240)
    photo = paper * (1 - 0.9 * np.kron(letter(), np.ones((4, 4))))
    assert np.median(photo) < (photo.min() + photo.max()) / 2
    assert difference(read_picture(grey_file(photo)), clean) < 0.1


def test_narrow_picture():
    dash = np.zeros((40, 240), bool)
    dash[14:26, 20:220] = True
    picture = read_picture(grey_file(255 - 255 * dash))
    rows, columns = (np.flatnonzero(picture.max(axis=axis) > 127) for axis in (1, 0))
    assert len(columns) in (19, 20) and len(rows) in (1, 2, 3)


def test_specks_do_not_matter(clean):
    specks = letter(pen=6)
    specks[100, 110] = specks[3, 3] = True
    without = read_picture(grey_file(255 - 255 * letter(pen=6)))
    assert difference(read_picture(grey_file(255 - 255 * specks)), without) < 0.02


def test_thin_lines_are_as_dark_as_thick_ones():
    thin = read_picture(grey_file(255 - 255 * letter(pen=1)))
    assert thin.max() == 255
    assert np.median(thin[thin > 25]) > 127


def test_centre_is_the_mean_over_areas():
    ink = np.zeros((60, 60), np.float32)
    ink[10:48, 20:39] = np.random.default_rng(0).uniform(0.6, 1, (38, 19))
    # 38 / 19 * 28 = 56 pixels a side from row 1 and column 1.5; every pixel cut in half for that.
    halves = np.kron(ink, np.ones((2, 2)))[2 : 2 + 112, 3 : 3 + 112]
    halves = np.pad(halves, [(0, 0), (0, 112 - halves.shape[1])])
    expected = halves.reshape(28, 4, 28, 4).mean(axis=(1, 3))
    line = np.percentile(expected[expected > expected.max() / 10], 90)
    np.testing.assert_allclose(centre(ink, 28), np.clip(expected / line, 0, 1), atol=1e-5)


def test_otsu_by_definition():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(30, 8, 900), rng.normal(150, 20, 60)])

    def between(threshold):
        low, high = values[values <= threshold], values[values > threshold]
        return len(low) * len(high) * (low.mean() - high.mean()) ** 2

    best = max(map(between, np.linspace(values.min() + 1, values.max() - 1, 2000)))
    assert between(otsu_threshold(values)) > 0.999 * best
    assert otsu_threshold(np.array([0.0] * 99 + [100.0])) == pytest.approx(50, abs=1)


def test_ink_of_a_clean_picture_is_exact():
    np.testing.assert_array_equal(find_ink(200.0 - 150 * letter()), letter())


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((50, 50), 255), "blank"),
        (np.full((50, 50), 0), "blank"),
        (200 + np.random.default_rng(0).normal(0, 3, (100, 100)), "blank"),
        (255 - 255 * letter(pen=20), "line is too thick for the picture"),
        (255 - 255 * letter(pen=8)[20:80, 30:70], "line is too thick for the picture"),
        (
            np.repeat([[230, 130]], 60, axis=1) * np.ones((60, 1)),
            "or there is nothing but a shadow",
        ),
        (255 - 255 * np.eye(7), "only 7x7 pixels"),
        (np.zeros((1, 300)), "only 300x1 pixels"),
    ],
)
def test_pictures_without_a_character(array, words):
    with pytest.raises(PictureError, match=words):
        read_picture(grey_file(array))


def test_damaged_files():
    content = grey_file(np.random.default_rng(0).integers(0, 256, (100, 100))).read()
    middle = len(content) // 2
    for damage in (
        b"",
        b"some text",
        content[:middle],
        content[:middle] + b"\0" * 50 + content[middle + 50 :],
    ):
        with pytest.raises(PictureError, match="damaged or not a picture"):
            read_picture(io.BytesIO(damage))
    with pytest.raises(PictureError, match="damaged or not a picture"):
        read_picture("no_such_file.png")


def test_omniglot_keeps_its_look(omniglot_dir):
    """Drawings of Omniglot go through nearly unchanged in what a network may rely on."""
    from meta_keras.data import load_characters

    drawings = load_characters("omniglot", omniglot_dir).images[::10, 0]
    prepared = np.stack([read_picture(grey_file(255.0 - drawing)) for drawing in drawings])
    assert 0.9 < prepared.mean() / drawings.mean() < 1.5
    assert abs(np.median(prepared[prepared > 12]) - np.median(drawings[drawings > 12])) < 30
