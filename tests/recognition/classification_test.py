"""Tests of the classification of a user's own pictures."""

import csv
import functools
import json
import os
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from meta_keras import PrototypicalNetwork, ZeroShotPrototypicalNetwork, presets
from meta_keras.data import glyphs
from meta_keras.errors import DatasetError, PresetError, SettingError
from meta_keras.recognition import classify

CLASSES = ("alpha", "beta, the second", "epsilon", "gamma", "дельта")


def nearest_picture(side=28):
    """A metric learner of any number of classes: the logit is minus the distance of the means."""
    return PrototypicalNetwork(
        keras.Sequential([keras.Input((side, side, 1)), keras.layers.Flatten()])
    )


@pytest.fixture(scope="module")
def any_way(tmp_path_factory):
    """A preset of a metric learner."""
    folder = tmp_path_factory.mktemp("presets") / "any_way"
    presets.save_preset(nearest_picture(), folder)
    return str(folder)


def write_drawing(file, character, drawer):
    strokes, counts = glyphs.character_programs(0, 40)
    file.parent.mkdir(parents=True, exist_ok=True)
    drawing = glyphs.draw(strokes[character, : counts[character]], 0, character, drawer)
    Image.fromarray(drawing).save(file)


@pytest.fixture
def folders(tmp_path):
    """Five classes with one example each, four query pictures of every class."""
    for number, name in enumerate(CLASSES):
        write_drawing(tmp_path / "support" / name / "example.png", 7 * number, 0)
        for drawer in range(1, 5):
            write_drawing(tmp_path / "query" / name / f"{drawer}.png", 7 * number, drawer)
    return tmp_path


def run(folder, preset="lstm_omniglot_5way_1shot", **paths):
    """The files that were skipped; prints what is told."""
    paths = {name: folder / name for name in ("support", "query", "output")} | paths
    warn = functools.partial(print, file=sys.stderr)
    return classify(**paths, preset=preset, inform=print, warn=warn)[2]


def refuse(folder, *arguments, error=SettingError, **paths):
    with pytest.raises(error) as error:
        run(folder, *arguments, **paths)
    assert not (folder / "output" / "predictions.csv").exists()
    return str(error.value)


def predictions(folder):
    with open(folder / "output" / "predictions.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def results(folder):
    return json.loads((folder / "output" / "results.json").read_text())


@pytest.mark.parametrize("preset", ["prototypical_omniglot", "lstm_omniglot_5way_1shot"])
def test_shipped_preset(folders, preset, capsys):
    assert not run(folders, preset)
    rows = predictions(folders)
    assert len(rows) == 20
    assert list(rows[0]) == ["file", "predicted", *CLASSES]
    assert rows[0]["file"] == "alpha/1.png"
    right = 0
    for row in rows:
        probabilities = {name: float(row[name]) for name in CLASSES}
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert row["predicted"] == max(probabilities, key=probabilities.get)
        right += row["predicted"] == row["file"].rpartition("/")[0]
    assert right >= 18
    assert results(folders)["accuracy"] == right / 20
    assert results(folders)["labelled_query_pictures"] == 20
    assert f"Accuracy {right / 20:.2%} over the 20 pictures" in capsys.readouterr().out
    sheet = tf.io.decode_png(tf.io.read_file(str(folders / "output" / "contact_sheet.png")))
    assert sheet.shape[0] > 200 and sheet.shape[1] > 500 and sheet.shape[2] == 3
    # A row of examples and two rows of answers, green ones among them.
    green = np.abs(sheet.numpy().astype(int) - [0, 128, 0]).sum(axis=-1) < 60
    assert green.any()


def test_answer_does_not_depend_on_the_other_query_pictures(folders):
    run(folders)
    before = {row["file"]: row for row in predictions(folders)}
    for name in CLASSES[1:]:
        for file in (folders / "query" / name).iterdir():
            file.unlink()
    run(folders)
    assert len(predictions(folders)) == 4
    for row in predictions(folders):
        for name in CLASSES:
            assert float(row[name]) == pytest.approx(float(before[row["file"]][name]), abs=1e-5)


def test_any_number_of_classes_with_a_metric_preset(folders, any_way):
    write_drawing(folders / "support" / "zeta" / "1.png", 3, 0)
    write_drawing(folders / "support" / "zeta" / "2.png", 3, 5)
    write_drawing(folders / "query" / "one.png", 3, 1)
    assert not run(folders, any_way)
    rows = predictions(folders)
    assert len(rows) == 21 and list(rows[0])[2:] == [*CLASSES[:4], "zeta", CLASSES[4]]
    assert {row["file"]: row["predicted"] for row in rows}["one.png"] == "zeta"


def test_number_of_classes_a_preset_cannot_tell_apart(folders, capsys):
    write_drawing(folders / "support" / "zeta" / "1.png", 3, 0)
    message = refuse(folders)
    assert "`support` has 6 classes" in message and "exactly 5 apart" in message


def test_pictures_without_labels(folders, any_way, capsys):
    for number, name in enumerate(CLASSES):
        for file in (folders / "query" / name).iterdir():
            file.rename(folders / "query" / f"{number}{file.name}")
        (folders / "query" / name).rmdir()
    assert not run(folders, any_way)
    assert "Accuracy" not in capsys.readouterr().out
    assert results(folders)["accuracy"] is None
    assert len(predictions(folders)) == 20


def test_query_folder_that_is_no_class(folders, any_way, capsys):
    write_drawing(folders / "query" / "omega" / "1.png", 3, 0)
    (folders / "query" / "empty").mkdir()
    assert not run(folders, any_way)
    output = capsys.readouterr().out
    assert "without a share in the accuracy: ['omega']." in output
    assert results(folders)["labelled_query_pictures"] == 20


def test_damaged_pictures_are_named_and_skipped(folders, any_way, capsys):
    (folders / "query" / "gamma" / "1.png").write_bytes(b"")
    Image.new("L", (50, 50), 255).save(folders / "query" / "gamma" / "2.png")
    (folders / "support" / "alpha" / "bad.jpg").write_bytes(b"\xff\xd8 cut")
    (folders / "support" / "alpha" / "notes.txt").write_text("passed over")
    assert len(run(folders, any_way)) == 3
    errors = capsys.readouterr().err
    for words in ("gamma/1.png: damaged", "gamma/2.png: blank", "alpha/bad.jpg: damaged"):
        assert words in errors
    assert "notes.txt" not in errors
    assert len(predictions(folders)) == 18
    assert len(results(folders)["skipped"]) == 3


def test_files_with_other_endings_are_named_and_skipped(folders, any_way, capsys):
    names = {"query/phone.heic", "query/gamma/scan", "support/alpha/1.svg", "support/sources"}
    for name in names:
        (folders / name).write_bytes(b"not read")
    for name in ("query/labels.csv", "support/read.me.txt", "support/alpha/.hidden"):
        (folders / name).write_text("passed over")
    (folders / "query" / "loop").symlink_to(folders / "query")
    names.add("query/loop")
    assert {str(file.relative_to(folders)) for file, _ in run(folders, any_way)} == names
    errors = capsys.readouterr().err
    assert errors.count("Skipped") == 5 and all(f"{name}: " in errors for name in names)
    assert len(predictions(folders)) == 20
    assert len(results(folders)["skipped"]) == 5


def test_class_without_a_picture_by_its_name(folders, any_way, capsys):
    (folders / "support" / "zeta").mkdir()
    (folders / "support" / "zeta" / "1.heic").write_bytes(b"not read")
    assert "'zeta' of `support` has no picture" in refuse(folders, any_way)
    assert "zeta/1.heic" in capsys.readouterr().err


def test_names_that_are_no_text(folders, any_way, capsys):
    byte = os.fsdecode(b"\xff")
    try:
        (folders / byte).touch()
    except OSError:
        pytest.skip("file names must be UTF-8 here")
    for part in ("support", "query"):
        (folders / part / "gamma").rename(folders / part / f"gamma{byte}")
    write_drawing(folders / "query" / f"a{byte}.png", 7, 1)
    write_drawing(folders / "query" / f"other{byte}" / "1.png", 7, 1)
    (folders / "query" / f"b{byte}.png").write_bytes(b"nonsense")
    assert len(run(folders, any_way)) == 1
    escaped = byte.encode(errors="backslashreplace").decode()
    rows = {row["file"]: row for row in predictions(folders)}
    assert len(rows) == 22 and {f"a{escaped}.png", f"other{escaped}/1.png"} < set(rows)
    assert rows[f"gamma{escaped}/1.png"]["predicted"] == f"gamma{escaped}"
    assert results(folders)["labelled_query_pictures"] == 20
    assert f"gamma{escaped}" in results(folders)["classes"]
    assert results(folders)["skipped"][0]["file"].endswith(f"b{escaped}.png")
    assert f"b{escaped}.png: damaged" in capsys.readouterr().err


def test_names_that_are_formulas_or_codes(folders, any_way, capsys):
    new = ["=1+1|2", r"$\frac$", "-a\nb", "\x1b[2J", "@SUM(1)"]
    for old, name in zip(CLASSES, new, strict=True):
        for part in ("support", "query"):
            (folders / part / old).rename(folders / part / name)
    write_drawing(folders / "query" / '=HYPERLINK("x").png', 7, 1)
    (folders / "query" / "bad\n\x1b.png").write_bytes(b"nonsense")
    assert len(run(folders, any_way)) == 1
    rows = predictions(folders)
    columns = {"'=1+1|2", r"$\frac$", "'-a\nb", "\x1b[2J", "'@SUM(1)"}
    assert set(rows[0]) == {"file", "predicted"} | columns
    assert {row["predicted"] for row in rows} <= set(rows[0])
    assert '\'=HYPERLINK("x").png' in [row["file"] for row in rows]
    right = sum(row["predicted"] == row["file"].rpartition("/")[0] for row in rows)
    assert results(folders)["accuracy"] == right / 20 and right >= 15
    assert set(results(folders)["classes"]) == set(new)
    printed = capsys.readouterr()
    assert r"bad\n\x1b.png: damaged" in printed.err
    assert "\x1b" not in printed.out + printed.err and len(printed.err.splitlines()) == 1


def test_classes_without_a_picture(folders):
    (folders / "support" / "gamma" / "example.png").unlink()
    assert "'gamma'" in refuse(folders) and "has no picture." in refuse(folders)
    (folders / "support" / "gamma" / "example.png").write_bytes(b"nonsense")
    assert "no picture that can be read" in refuse(folders)


def test_single_class(folders):
    for name in CLASSES[1:]:
        (folders / "support" / name / "example.png").unlink()
        (folders / "support" / name).rmdir()
    expected = f"support={folders / 'support'} has the single class 'alpha'; at least 2"
    assert refuse(folders).startswith(expected)


def test_nothing_to_classify(folders):
    for file in (folders / "query").rglob("*.png"):
        file.write_bytes(b"nonsense")
    assert "no picture that can be read" in refuse(folders)
    for file in (folders / "query").rglob("*.png"):
        file.unlink()
    assert "has no pictures" in refuse(folders)


def test_support_without_class_folders(folders):
    write_drawing(folders / "support" / "stray.png", 0, 0)
    assert "stray.png is in no class folder" in refuse(folders, error=DatasetError)


def test_folders_that_would_spoil_each_other(folders):
    message = refuse(folders, output=folders / "query" / "out")
    assert message.startswith(f"output={folders / 'query' / 'out'} lies in query=")
    assert not (folders / "query" / "out").exists()
    assert "contain each other" in refuse(folders, query=folders / "support" / "alpha")
    (folders / "file").write_text("")
    assert "cannot be written" in refuse(folders, output=folders / "file" / "out")


def test_presets_of_other_kinds(folders, tmp_path):
    assert "preset='no_such'" in refuse(folders, "no_such", error=PresetError)
    assert "not an EpisodicLearner" in refuse(folders, "quadratic", error=PresetError)
    vectors = keras.Sequential([keras.Input((3,)), keras.layers.Dense(784)])
    learner = ZeroShotPrototypicalNetwork(nearest_picture().network, vectors)
    presets.save_preset(learner, tmp_path / "zero_shot")
    message = refuse(folders, tmp_path / "zero_shot", error=PresetError)
    assert "ZeroShotPrototypicalNetwork" in message
    presets.save_preset(nearest_picture(side=16), tmp_path / "small")
    assert not run(folders, tmp_path / "small")


def test_returns_what_it_writes(folders, any_way, caplog):
    """And without functions that are told, what was skipped goes to the log."""
    (folders / "query" / "broken.png").write_bytes(b"nonsense")
    paths = [folders / name for name in ("support", "query", "output")]
    table, accuracy, skipped = classify(*paths, any_way)
    assert (folders / "output" / "predictions.csv").read_text() == table
    assert results(folders)["accuracy"] == accuracy
    assert [file.name for file, _ in skipped] == ["broken.png"]
    assert "broken.png: damaged" in caplog.text
    assert sorted(file.name for file in (folders / "output").iterdir()) == [
        "contact_sheet.png",
        "predictions.csv",
        "results.json",
    ]


def test_pictures_of_another_shape(folders, tmp_path):
    network = keras.Sequential([keras.Input((28, 28, 2)), keras.layers.Flatten()])
    presets.save_preset(PrototypicalNetwork(network), tmp_path / "two")
    message = refuse(folders, tmp_path / "two")
    assert "is for pictures of shape (28, 28, 2); only square grey or coloured ones" in message
