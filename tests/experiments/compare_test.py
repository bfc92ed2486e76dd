"""Tests of the comparison through its command line."""

import json
import os
import re

import numpy as np
import pytest
import tensorflow as tf
from absl import flags

from experiments import compare, program
from meta_keras.errors import OutputError, SettingError


@pytest.fixture
def write(tmp_path):
    """Function that writes a run's `results.json` and gives the path of its folder."""

    def write(run, **changes):
        results = {
            "experiment": "few_shot",
            "method": "maml",
            "dataset": "omniglot",
            "split": "random",
            "rotations": True,
            "nway": 5,
            "kshot": 1,
            "test_accuracy": 0.9712,
            "test_ci95": 0.0034,
            "test_episodes": 600,
            "batch_norm": "transductive",
            "wall_seconds": 312.0,
            **changes,
        }
        folder = tmp_path / run
        folder.mkdir()
        kept = {name: value for name, value in results.items() if value is not None}
        (folder / "results.json").write_text(json.dumps(kept))
        return folder

    return write


@pytest.fixture
def run(tmp_path, capsys):
    """Function that runs the program in this process: what it prints."""

    def run(*paths, plot=None):
        plot = plot or tmp_path / "plot.png"
        values = program.parse(compare.define_flags, [f"--plot={plot}"])
        compare.main(values, list(map(str, paths)))
        return capsys.readouterr().out

    return run


def rows(output):
    """The cells of the table, a dict from a run's name to a dict from column to cell."""
    lines = [line for line in output.splitlines() if line.startswith("|")]
    head, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {cells[0]: dict(zip(head, cells, strict=True)) for cells in body}


def test_command_line(write, call, tmp_path):
    paths = write("second", method="lstm"), write("first", test_accuracy=0.98) / "results.json"
    done = call("compare", *paths, f"--plot={tmp_path / 'plot.png'}")
    assert done.returncode == 0, done.stderr[-2000:]
    table = rows(done.stdout)
    assert list(table) == ["first", "second"]
    assert table["first"]["accuracy, %"] == "98.00 +- 0.34"
    assert table["first"]["published"] == "98.7 +- 0.4"
    assert table["second"]["published"] == ""
    assert "no figure" in table["second"]["remark"]
    picture = tf.io.decode_png(tf.io.read_file(str(tmp_path / "plot.png"))).numpy()
    assert picture.shape[1] == 1200
    assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 10

    done = call("compare", tmp_path / "nothing")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "nothing: there is no such file" in done.stderr


@pytest.mark.parametrize(
    ("changes", "figure", "words"),
    [
        ({}, "98.7 +- 0.4", "Finn et al. 2017"),
        ({"kshot": 5}, "99.9 +- 0.1", ""),
        ({"nway": 20}, "95.8 +- 0.3", ""),
        ({"method": "fomaml"}, "98.3 +- 0.5", "Nichol et al. 2018"),
        ({"method": "meta_sgd"}, "99.53 +- 0.26", "Li et al. 2017"),
        ({"method": "reptile"}, "97.68", "1,200 training characters"),
        ({"method": "reptile", "batch_norm": "inductive"}, "95.39", "Nichol et al. 2018"),
        ({"method": "prototypical", "split": "vinyals"}, "98.8", "Snell et al. 2017"),
        ({"method": "prototypical"}, "", "98.8 on the split vinyals"),
        ({"batch_norm": "inductive"}, "", "98.7 +- 0.4 with transductive batch normalisation"),
        ({"dataset": "glyphs"}, "", "published on Omniglot, not on glyphs"),
        ({"split": "lake"}, "", "on the split random"),
        ({"rotations": False}, "", "with rotated classes"),
        ({"nway": 10}, "", "no 10-way 1-shot figure"),
        ({"method": "lstm"}, "", "no figure on Omniglot was published"),
    ],
)
def test_published_figures_only_where_comparable(write, run, changes, figure, words):
    row = rows(run(write("it", **changes)))["it"]
    assert row["published"] == figure
    assert words in row["remark"]


def test_order_and_duplicates(write, run):
    worse, better = write("worse", test_accuracy=0.5), write("better")
    other_task = write("five", kshot=5, test_accuracy=1.0)
    table = rows(run(other_task, worse, better, worse))
    assert list(table) == ["better", "worse", "five"]
    assert table["five"]["task"] == "5-way 5-shot"
    assert table["better"]["min"] == "5"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read"),
        ("[1]", "is not a results.json"),
        ("{}", "is not a results.json"),
        ("[" * 100_000, "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_other_files(run, tmp_path, content, words):
    file = tmp_path / "results.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SettingError) as error:
        run(file)
    assert str(file) in str(error.value) and words in str(error.value)
    assert not (tmp_path / "plot.png").exists()


def test_folder_of_all_runs(write, run, tmp_path, capsys):
    """`compare runs/*`: zero-shot runs have a row; what has no accuracy is named."""
    paths = [write("good"), write("shotless", experiment="zero_shot", kshot=0)]
    paths.append(write("optimizer", experiment="learn_to_optimize"))
    (tmp_path / "unfinished").mkdir()
    values = program.parse(compare.define_flags, [f"--plot={tmp_path / 'plot.png'}"])
    compare.main(values, [*map(str, paths), str(tmp_path / "unfinished")])
    printed = capsys.readouterr()
    table = rows(printed.out)
    assert set(table) == {"good", "shotless"}
    assert table["shotless"]["task"] == "5-way zero-shot"
    assert "zero-shot: no figure" in table["shotless"]["remark"]
    assert "unfinished has no results.json" in printed.err
    assert "'learn_to_optimize', which has no accuracies" in printed.err
    with pytest.raises(SettingError, match="none of these is a finished run"):
        run(tmp_path / "unfinished", tmp_path / "optimizer")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"test_ci95": None}, "lacks test_ci95"),
        ({"test_accuracy": 97.1}, "test_accuracy is 97.1"),
        ({"test_accuracy": float("nan")}, "test_accuracy is nan"),
        ({"test_ci95": "0.3"}, "test_ci95 is '0.3'"),
        ({"nway": 1}, "nway is 1"),
        ({"kshot": True}, "kshot is True"),
        ({"method": ["maml"]}, "method is "),
        ({"test_ci95": float("inf")}, "test_ci95 is inf"),
        ({"wall_seconds": -(10**400)}, "wall_seconds is -1000"),
    ],
)
def test_damaged_results(write, run, changes, words):
    with pytest.raises(SettingError, match=f"is damaged.*{words}"):
        run(write("good"), write("bad", **changes))


def test_names_of_runs(write, run, tmp_path):
    """Formulas, ends of lines, columns: neither the plot nor the table breaks."""
    names = [r"$\frac$", "a|b", "two\nlines", "\x1b[2J", os.fsdecode(b"\xff"), "x" * 200]
    paths = [write(name, test_accuracy=0.9 - i / 100) for i, name in enumerate(names)]
    table = [line for line in run(*paths).splitlines() if line.startswith("|")][2:]
    shown = [re.split(r"(?<!\\)\|", line)[1].strip() for line in table]
    assert shown == [
        r"$\frac$", r"a\|b", r"two\nlines", r"\x1b[2J", r"\udcff", "x" * 200
    ]  # fmt: skip
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_paths_are_told_on_one_line(write, tmp_path, capsys):
    (tmp_path / "un\nfinished").mkdir()
    plot = tmp_path / os.fsdecode(b"\xff\n.png")
    values = program.parse(compare.define_flags, [f"--plot={plot}"])
    compare.main(values, [str(write("it")), str(tmp_path / "un\nfinished")])
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1] == rf"Plot: {tmp_path}/\udcff\n.png" and plot.is_file()
    assert r"un\nfinished has no results.json" in printed.err


def test_a_pipe_is_not_waited_for(run, tmp_path):
    os.mkfifo(tmp_path / "results.json")
    with pytest.raises(SettingError, match="results.json is not a regular file"):
        run(tmp_path)


def test_nothing_to_compare(run):
    with pytest.raises(SettingError, match=r"name the results\.json"):
        run()


def test_plot_that_cannot_be_written(write, run, tmp_path):
    with pytest.raises(SettingError, match=f"plot=.* written: {tmp_path}/no is no folder"):
        run(write("it"), plot=tmp_path / "no" / "plot.png")
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(OutputError, match=r"taken\.png cannot be written: ") as raised:
        run(write("same"), plot=tmp_path / "taken.png")
    assert str(raised.value).count("cannot be written") == 1
    with pytest.raises(flags.Error, match=r"must end in \.png"):
        run(write("other"), plot="plot.pdf")
