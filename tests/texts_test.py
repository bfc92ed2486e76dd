"""Tests of users' names where they are shown."""

import os

import pytest

from meta_keras.texts import encodable, printable, shortened, spreadsheet_cell


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\r", r"two\nlines\r"),
        ("\x1b[2Jcleared\x07\x9b", r"\x1b[2Jcleared\x07\x9b"),
        (os.fsdecode(b"a\xff"), r"a\udcff"),
        ("a\u202egnp.exe", r"a\u202egnp.exe"),
        ("a\u2028b", r"a\u2028b"),
        ("Ünïcødé  日本 語 שלום", "Ünïcødé  日本 語 שלום"),
        ("می\u200cخواهم \u00a0", "می\u200cخواهم \u00a0"),  # A joiner is part of the word.
        (r"a\b", r"a\b"),
    ],
)
def test_printable(text, shown):
    assert printable(text) == shown
    assert printable(shown) == shown
    shown.encode()


def test_encodable_and_shortened():
    assert encodable(os.fsdecode(b"a\xff\n")) == "a\\udcff\n"
    assert shortened("abc", 3) == "abc" and shortened("abcd", 3) == "ab…"


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
def test_no_formulas_in_spreadsheets(first):
    assert spreadsheet_cell(f"{first}HYPERLINK(1).png") == f"'{first}HYPERLINK(1).png"
    assert spreadsheet_cell(f"a{first}b") == f"a{first}b"
    assert spreadsheet_cell("") == ""
