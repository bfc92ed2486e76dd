"""Figures: made without a display, turned into pixels, saved."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from meta_keras.files import replacing
from meta_keras.texts import printable, shortened


def new_figure(**arguments):
    """A `matplotlib.figure.Figure` that needs no display, with the arguments of that class.

    It does not touch `matplotlib.pyplot`, whose state is its user's.
    """
    figure = Figure(**arguments)
    FigureCanvasAgg(figure)
    return figure


def show_picture(axes, image, **where):
    """Draws a picture: one in colour as it is, ink black on white.

    Args:
        axes: a `matplotlib.axes.Axes`.
        image: `[H, W, C]` in [0, 1], with one channel ink 1 on paper 0.
        **where: arguments of `Axes.imshow` on place and shape.
    """
    image = image if image.shape[-1] == 3 else 1.0 - image
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, **where)


def plain(text, most=60):
    """A text, which may be a user's, as it is: no formula, on one line and not too long.

    Args:
        text: anything; its `str` is taken.
        most: number of characters.

    Returns:
        A str to give to Matplotlib, in which two dollar signs would be a formula.
    """
    return shortened(printable(text), most).replace("$", r"\$")


def figure_pixels(figure):
    """Draws a figure.

    Args:
        figure: as from `new_figure`.

    Returns:
        uint8 `[height, width, 3]`.
    """
    figure.canvas.draw()
    return np.array(figure.canvas.buffer_rgba())[..., :3]


def save_figure(figure, *files, dpi=150):
    """Writes a figure, each file whole or not at all.

    Args:
        figure: a `matplotlib.figure.Figure`.
        files: paths; the ending of each, `.png` or `.svg` or another that matplotlib knows, is its
            format. Their folders must exist.
        dpi: pixels an inch, where the format has pixels.

    Raises:
        OSError: a file cannot be written.
        ValueError: an ending is unknown.
    """
    for file in files:
        with replacing(file) as part:
            figure.savefig(part, dpi=dpi)
