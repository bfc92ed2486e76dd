"""Tests of tables."""

from meta_keras.training.tables import print_table


def test_a_table_is_markdown_whatever_the_names(capsys):
    names = ["a|b", "two\nlines", "\x1b[2J", ":smile:", "[bold]", "x" * 255, "\udcff", "日本"]
    print_table(["run", "episodes"], [[name, "3"] for name in names])
    printed = capsys.readouterr().out
    head, rule, *rows = printed.splitlines()
    assert len(rows) == len(names) and set(rule) == set("|-")
    cells = [row.strip("|").rsplit("|", 1)[0].strip() for row in rows]
    shown = [r"a\|b", r"two\nlines", r"\x1b[2J", *names[3:6], r"\udcff", "日本"]
    assert cells == shown
    assert all(row.strip("|").rsplit("|", 1)[1].strip() == "3" for row in rows)
    assert head.split("|")[1].strip() == "run"
