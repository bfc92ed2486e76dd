"""Classified pictures with the answers, on one sheet."""

from meta_keras.plots.figures import figure_pixels, new_figure, plain, show_picture

COLUMNS = 12
PICTURES = 2000  # More would not fit into one picture.
LETTERS = 18  # of a name


def contact_sheet(support_images, support_labels, query_images, probabilities, classes, truth):
    """Support pictures of every class, then query pictures with the answers, as a picture.

    Under every query picture stand the class with the highest probability and that: green where
    it is right, red where it is wrong, black where nobody knows.

    Args:
        support_images: `[n, H, W, 1]` in [0, 1], ink 1; or `[n, H, W, 3]` in colour, uint8 or in
            [0, 1].
        support_labels: `[n]` int.
        query_images: `[m, H, W, C]`, likewise; the first 2,000 are shown.
        probabilities: `[m, N]`.
        classes: N names.
        truth: `[m]` int, -1 where the class is not known.

    Returns:
        uint8 `[height, width, 3]`.
    """
    shown = min(len(query_images), PICTURES)
    classes = [plain(name, LETTERS) for name in classes]
    cells = [
        (image, classes[label], "black", True)
        for image, label in zip(support_images, support_labels, strict=True)
    ]
    cells += [None] * (-len(cells) % COLUMNS)  # The query starts on a row of its own.
    for image, row, label in zip(query_images, probabilities, truth[:shown], strict=False):
        color = "black" if label < 0 else "green" if row.argmax() == label else "red"
        cells.append((image, f"{classes[row.argmax()]}\n{row.max():.0%}", color, False))
    rows = -(-len(cells) // COLUMNS)
    height, width = support_images.shape[1:3]
    figure = new_figure(figsize=(0.75 * COLUMNS + 0.2, 1.05 * rows + 0.5), dpi=100)
    top = 1 - 0.4 / figure.get_figheight()
    axes = figure.add_axes((0.01, 0.01, 0.98, top - 0.01))
    axes.set_axis_off()
    axes.set(xlim=(0, COLUMNS), ylim=(rows, 0))
    text = "examples (framed), then answers with their probability"
    if shown < len(query_images):
        text += f"; the first {shown:,} of {len(query_images):,} pictures"
    figure.suptitle(text, fontsize=9, y=1 - 0.1 / figure.get_figheight(), va="top")
    for number, cell in enumerate(cells):
        if cell is None:
            continue
        image, name, color, framed = cell
        row, column = divmod(number, COLUMNS)
        extent = (column + 0.08, column + 0.92, row + 0.6 * height / width + 0.02, row + 0.02)
        show_picture(axes, image, extent=extent, aspect="auto")
        if framed:
            left, right, bottom, top = extent
            axes.plot([left, right, right, left, left], [top, top, bottom, bottom, top], "k", lw=1)
        style = {"fontsize": 7, "color": color, "ha": "center", "va": "top"}
        axes.text(column + 0.5, row + 0.65, name, **style)
    axes.set(xlim=(0, COLUMNS), ylim=(rows, 0))
    return figure_pixels(figure)
