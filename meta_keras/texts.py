"""Names that users gave, made fit for where they are shown.

A file or folder may be called anything: bytes that are no text, several lines, codes that a
terminal obeys, formulas of a spreadsheet or of Matplotlib.
"""

import unicodedata

# Marks that turn the order of what follows them; joiners, which scripts need, are not among them.
TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
FORMULAS = tuple("=+-@\t\r\n＝＋－＠")


def encodable(text):
    """A text that can be written as UTF-8: bytes of file names that are no UTF-8 are escaped."""
    return str(text).encode(errors="backslashreplace").decode()


def printable(text):
    """A text on one line that a terminal shows and does not obey.

    Args:
        text: anything; its `str` is taken.

    Returns:
        A str. Bytes that are no UTF-8, ends of lines, control characters and marks that turn the
        order of writing are escaped.

    Example:

    >>> print(printable("a\\nb"))
    a\\nb
    """
    return "".join(
        c.encode("unicode_escape").decode()
        if c in TURNING or unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")
        else c
        for c in str(text)
    )


def shortened(text, most):
    """At most so many characters of a text, with an ellipsis where it goes on."""
    return text if len(text) <= most else text[: most - 1] + "…"


def spreadsheet_cell(text):
    """A text that a spreadsheet shows and does not compute.

    What would begin a formula gets an apostrophe before it.
    """
    text = encodable(text)
    return f"'{text}" if text.startswith(FORMULAS) else text
