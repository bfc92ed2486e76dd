"""Tests of what is read of a file's brightness, hue and transparency."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from meta_keras.data.ink import PictureError, read_picture
from meta_keras.data.pixels import read_pixels

SIDE = 120


def letter(pen=5):
    """An `L` with a bar, its edges half covered: float `[SIDE, SIDE]` in [0, 1]."""
    ink = np.zeros((2 * SIDE, 2 * SIDE))
    ink[41:161, 61 : 61 + 2 * pen] = 1
    ink[161 - 2 * pen : 161, 61:141] = 1
    return ink.reshape(SIDE, 2, SIDE, 2).mean(axis=(1, 3))


def cross():
    ink = np.zeros((SIDE, SIDE))
    ink[20:100, 58:62] = ink[58:62, 20:100] = 1
    return ink


def saved(image, kind="PNG", **options):
    file = io.BytesIO()
    if isinstance(image, np.ndarray):
        image = Image.fromarray(np.uint8(np.clip(np.rint(image), 0, 255)))
    image.save(file, kind, **options)
    file.seek(0)
    return file


def mix(ink, ink_colour, paper_colour):
    return ink[..., None] * np.array(ink_colour, float) + (1 - ink[..., None]) * paper_colour


def rgba(colours, opacity):
    return np.dstack([np.broadcast_to(colours, (SIDE, SIDE, 3)), 255 * opacity])


@pytest.fixture(scope="module")
def plain():
    """What the network sees of the letter, black on white."""
    return read_picture(saved(255 - 255 * letter()))


def difference(picture, other):
    return np.abs(picture.astype(float) - other).sum() / other.sum()


def palette(transparent):
    image = Image.fromarray(np.uint8(letter() > 0.5))
    image.putpalette([0, 0, 0, 255, 255, 255])
    return saved(image, transparency=transparent)


INK = letter()
ALPHA = {
    "white ink": lambda: saved(rgba(255, INK)),
    "black ink": lambda: saved(rgba(0, INK)),
    "red ink": lambda: saved(rgba([200, 0, 0], INK)),
    "white ink, black where transparent": lambda: saved(
        rgba(255 * (INK > 0.5)[..., None].repeat(3, 2), INK)
    ),
    "white ink, its edge black": lambda: saved(
        rgba(np.where(INK[..., None] > 0.5, [255] * 3, [0] * 3), np.where(INK == 0.5, 0.51, INK))
    ),
    "noise where transparent": lambda: saved(
        rgba(
            np.where(
                INK[..., None] > 0, 255, np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3))
            ),
            INK,
        )
    ),
    "premultiplied white": lambda: saved(rgba(255 * INK[..., None], INK)),
    "faint white": lambda: saved(rgba(255, 0.3 * INK)),
    "a hole in white paper": lambda: saved(rgba(255, 1 - INK)),
    "grey with alpha, white ink": lambda: saved(
        Image.fromarray(np.uint8(np.dstack([np.full_like(INK, 255), 255 * INK])), "LA")
    ),
    "two colours": lambda: saved(
        rgba(np.where(np.arange(SIDE)[:, None, None] < 60, [255, 255, 255], [90, 0, 0]), INK)
    ),
    "all shades": lambda: saved(
        rgba(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 1)), INK)
    ),
    "palette, white ink": lambda: palette(0),
    "palette, black paper gone": lambda: palette(bytes([0, 255])),
    "one grey is transparent": lambda: saved(255 * (INK > 0.5), transparency=0),
    "one colour is transparent": lambda: saved(
        255 * (INK > 0.5)[..., None].repeat(3, 2), transparency=(0, 0, 0)
    ),
    "16 bits, ink transparent": lambda: saved(
        Image.fromarray(np.uint16(65535 * (INK <= 0.5))), transparency=0
    ),
    "GIF": lambda: saved(Image.open(palette(0)), "GIF", transparency=0),
    "WebP": lambda: saved(rgba(255, INK), "WEBP", lossless=True, exact=True),
    "TIFF": lambda: saved(rgba(255, INK), "TIFF"),
    # Opaque in part: the colours tell.
    "card, light on dark": lambda: saved(
        rgba(mix(INK, [255, 255, 255], [40, 40, 40]), np.pad(np.ones((90, 90)), 15))
    ),
    "card, dark on light": lambda: saved(
        rgba(mix(INK, [0, 0, 0], [250, 240, 220]), np.pad(np.ones((90, 90)), 15))
    ),
    "thin margin": lambda: saved(
        rgba(mix(INK, [255, 255, 255], [40, 40, 40]), np.pad(np.ones((116, 116)), 2))
    ),
    "sheet as transparent everywhere": lambda: saved(
        rgba(mix(INK, [255, 255, 255], [0, 0, 0]), np.full((SIDE, SIDE), 0.1))
    ),
    "card, equally bright": lambda: saved(
        rgba(mix(INK, [200, 0, 0], [0, 102, 0]), np.pad(np.ones((90, 90)), 15))
    ),
}


@pytest.mark.parametrize("kind", ALPHA)
def test_transparency_is_used_where_colour_does_not_tell(plain, kind):
    assert difference(read_picture(ALPHA[kind]()), plain) < 0.3  # half pixels


@pytest.mark.parametrize("size", [(2000, 2000), (700, 700)])
def test_large_white_ink_on_nothing(plain, size):
    image = Image.open(ALPHA["white ink"]()).resize(size)
    assert difference(read_picture(saved(image)), plain) < 0.25


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA"])
def test_an_opaque_picture_is_read_as_without_transparency(mode):
    rng = np.random.default_rng(0)
    photo = mix(letter(), [30, 40, 90], [220, 210, 180]) + rng.normal(0, 5, (SIDE, SIDE, 3))
    image = Image.fromarray(np.uint8(photo))
    image = image.convert("L") if mode == "LA" else image.quantize() if mode == "PA" else image
    with_alpha = saved(image.convert(mode), "TIFF" if mode == "PA" else "PNG")
    np.testing.assert_array_equal(read_picture(with_alpha), read_picture(saved(image)))
    pixels = read_pixels(with_alpha)
    assert pixels.opacity is None and pixels.hue is None


def test_colours_and_transparency_that_contradict_each_other():
    thick = np.clip(letter(pen=9) + np.roll(letter(pen=9), 1, 0), 0, 1)
    colours = mix(cross() * (thick > 0), [0, 0, 0], [255, 255, 255])
    with pytest.raises(PictureError, match="colours and its transparency show different"):
        read_picture(saved(rgba(colours, thick)))


def test_a_white_outline_around_black_ink_is_no_other_character(plain):
    around = np.clip(sum(np.roll(letter(), d, a) for d in (-1, 0, 1) for a in (0, 1)), 0, 1)
    sticker = rgba(mix(letter(), [0, 0, 0], [255, 255, 255]), around)
    assert difference(read_picture(saved(sticker)), plain) < 0.4


@pytest.mark.parametrize(
    ("ink", "paper"), [((200, 0, 0), (0, 102, 0)), ((60, 60, 255), (0, 136, 0))]
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_colours_as_bright_as_each_other(plain, ink, paper, kind):
    picture = mix(letter() > 0.5, ink, paper)
    assert difference(read_picture(saved(picture, kind)), plain) < 0.25
    assert read_pixels(saved(picture, kind)).hue is not None


def test_hue_is_not_asked_where_brightness_tells():
    pixels = read_pixels(saved(mix(letter(pen=9), [200, 0, 0], [0, 200, 0])))
    assert pixels.hue is None


def test_coloured_grain_and_light_are_no_ink():
    rng = np.random.default_rng(0)
    light = np.linspace(0, 30, SIDE)[:, None, None] * [1, 0, -1]
    paper = 150 + light + rng.normal(0, 6, (SIDE, SIDE, 3))
    for kind in ("PNG", "JPEG"):
        with pytest.raises(PictureError, match="blank"):
            read_picture(saved(paper, kind))


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (lambda: rgba(mix(letter(), [0] * 3, [255] * 3), 0 * letter()), "transparent everywhere"),
        (lambda: rgba(255, np.pad(np.ones((60, 60)), 30)), "colours: .*transparency: .*too thick"),
        (lambda: rgba(0, 0.05 * letter()), "transparent everywhere"),
    ],
)
def test_transparent_pictures_without_a_character(picture, words):
    with pytest.raises(PictureError, match=words):
        read_picture(saved(picture()))


def test_the_first_picture_of_an_animation_is_read(plain):
    frames = [Image.fromarray(np.uint8(255 - 255 * ink)) for ink in (letter(), cross())]
    for kind in ("GIF", "TIFF", "PNG", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        file = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert Image.open(file).n_frames == 2
        assert difference(read_picture(file), plain) < 0.05


def test_deep_pictures_below_zero(plain):
    below = np.float32(-0.02 * letter())
    assert difference(read_picture(saved(Image.fromarray(below), "TIFF")), plain) < 0.01


def test_pictures_too_large(monkeypatch, recwarn):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    read_picture(saved(255 - 255 * letter()))  # Pillow would warn.
    assert not recwarn.list
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5_000)
    with pytest.raises(PictureError, match="more than 10,000 pixels; make it smaller"):
        read_picture(saved(255 - 255 * letter()))


def test_only_regular_files_are_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    for name in ("pipe", "folder", "zero"):
        with pytest.raises(PictureError, match="not a regular file"):
            read_picture(tmp_path / f"{name}.png")
    (tmp_path / "lost.png").symlink_to("nowhere")
    with pytest.raises(PictureError, match="a link to a file that is not there"):
        read_picture(str(tmp_path / "lost.png"))
    (tmp_path / "good.png").write_bytes(saved(255 - 255 * letter()).read())
    (tmp_path / "link.png").symlink_to("good.png")
    assert read_picture(tmp_path / "link.png").any()
