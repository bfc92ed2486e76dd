"""Tables on a terminal, which are Markdown as well."""

import rich.box
import rich.console
import rich.table

from meta_keras.texts import printable
from meta_keras.training.terminal import say


def table_cell(value):
    """A value as a text that does not break the row of a Markdown table."""
    return printable(value).replace("|", r"\|")


def print_table(head, rows, stream=None):
    """Prints a table of texts. What would break it, in a user's name say, is escaped.

    Args:
        head: names of the columns.
        rows: lists of as many texts.
        stream: where to write; standard output by default.
    """
    table = rich.table.Table(*head, box=rich.box.MARKDOWN)
    for row in rows:
        table.add_row(*map(table_cell, row))
    # As wide as it is: lines cut to a terminal's width would be no Markdown.
    console = rich.console.Console(
        width=10_000, color_system=None, markup=False, emoji=False, highlight=False,
        force_terminal=False,
    )  # fmt: skip
    with console.capture() as capture:
        console.print(table)
    lines = filter(None, map(str.strip, capture.get().splitlines()))
    say(*lines, stream=stream)
