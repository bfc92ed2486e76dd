"""What is written: a table, a sheet, a page, a classifier; all of it or nothing."""

import contextlib
import csv
import io

from meta_keras.errors import SettingError
from meta_keras.files import replacing
from meta_keras.texts import spreadsheet_cell

NONE = "none of these"  # the name of the answer that nothing fits


def predictions_table(names, classes, probabilities):
    """The content of `predictions.csv`, in which no name is a spreadsheet's formula.

    Args:
        names: of the n pictures.
        classes: N names.
        probabilities: float `[n, N]`.

    Returns:
        A str.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    classes = list(map(spreadsheet_cell, classes))
    writer.writerow(["file", "predicted", *classes])
    for name, row in zip(names, probabilities, strict=True):
        writer.writerow([spreadsheet_cell(name), classes[row.argmax()], *(f"{p:.6f}" for p in row)])
    return table.getvalue()


def write_all(output, contents, save=None, model=None):
    """Writes files, all of them or none.

    Args:
        output: folder, which exists.
        contents: dict from the name of a file in it to its bytes.
        save: path of a `.keras` file.
        model: `keras.Model` to save there.

    Raises:
        SettingError: one of them cannot be written.
    """
    argument = f"output={output}"
    try:
        with contextlib.ExitStack() as stack:
            for name, content in contents.items():
                stack.enter_context(replacing(output / name)).write_bytes(content)
            if save:
                argument = f"save={save}"
                model.save(stack.enter_context(replacing(save)))
    except OSError as error:
        reason = error.strerror or getattr(error.__cause__, "strerror", None) or error
        raise SettingError(f"{argument} cannot be written: {reason}.") from error
