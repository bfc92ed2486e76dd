"""What is written: a table, a sheet, a page, a classifier; all of it or nothing."""

import contextlib
import csv
import io
import os
import pathlib
import shutil
import tempfile

import keras

from meta_keras.errors import SettingError
from meta_keras.files import move, replacing
from meta_keras.texts import spreadsheet_cell

NONE = "none of these"  # the name of the answer that nothing fits
TABLE, SHEET, RESULTS, PAGE = "predictions.csv", "contact_sheet.png", "results.json", "report.html"


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

    All are written beside their places first, and then take them one after the other; where one
    cannot, those before it get back what was there.

    Args:
        output: folder, which exists.
        contents: dict from the name of a file in it to its bytes; None for a file that is not to
            be there any more.
        save: path of a `.keras` file, whose folder exists.
        model: `keras.Model` to save there.

    Raises:
        SettingError: one of them cannot be written. Everything is as it was.
    """
    files = [(f"output={output}", output / name, content) for name, content in contents.items()]
    if save:
        files.append((f"save={save}", save, model))
    with contextlib.ExitStack() as stack, contextlib.ExitStack() as undo:
        staged = []
        for argument, target, content in files:
            with _naming(argument):
                staged.append(_stage(stack, target, content))
        for (argument, target, _), (new, old) in zip(files, staged, strict=True):
            with _naming(argument):
                _put(new, target)
            undo.callback(_put, old, target)
        undo.pop_all()


def _stage(stack, target, content):
    """`(new, old)`: two files beside the target, on disk; None for one that is not to be there."""
    folder = tempfile.TemporaryDirectory(
        dir=target.parent, prefix="tmp", suffix=".tmp", ignore_cleanup_errors=True
    )
    folder = pathlib.Path(stack.enter_context(folder))
    new = old = None
    if os.path.lexists(target):
        old = shutil.copy2(target, folder / "old", follow_symlinks=False)
    if content is not None:
        new = folder / target.name  # Its ending decides a model's format.
        with replacing(new) as part:
            content.save(part) if isinstance(content, keras.Model) else part.write_bytes(content)
    return new, old


def _put(source, target):
    if source:
        move(source, target)
    else:
        target.unlink(missing_ok=True)


@contextlib.contextmanager
def _naming(argument):
    """Turns what cannot be written into an error that names the argument."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or getattr(error.__cause__, "strerror", None) or error
        raise SettingError(f"{argument} cannot be written: {reason}.") from error
