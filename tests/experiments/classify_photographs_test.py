"""Tests of the command line that classifies photographs, by a tiny backbone made here."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from meta_keras import MAML, PrototypicalNetwork, data, networks, recognition
from meta_keras.errors import BackboneError, SettingError
from tests.own_photographs import COLOURS, OTHER, classify, photograph, predictions, results

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
# What a saved classifier is asked where this package cannot be imported.
ALONE = """
import sys
sys.modules["meta_keras"] = None
import keras, numpy
classifier = keras.models.load_model(sys.argv[1])
pictures = numpy.load(sys.argv[2])
numpy.savez(sys.argv[3], whole=classifier.predict(pictures, verbose=0),
            real=classifier.predict(pictures.astype("float32"), verbose=0))
"""


def test_from_photographs_to_answers_and_a_classifier(folders, backbone):
    """Through the command line; the classifier says the same in a process without the package."""
    photograph((128, 128, 128), 0).convert("CMYK").save(folders / "query" / "grey.tif")
    (folders / "query" / "broken.jpg").write_bytes(b"nonsense")
    flags = [f"--{name}={folders / name}" for name in ("support", "query", "output")]
    flags += [f"--backbone={backbone}", "--html", "--reject", f"--save={folders / 'c.keras'}"]
    command = [sys.executable, "-m", "experiments.classify", *flags]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.returncode == 3, done.stderr[-2000:]
    assert f"Skipped {folders / 'query' / 'broken.jpg'}: damaged" in done.stderr

    rows = predictions(folders)
    answers = ["blue <b>", "green", "red", recognition.NONE]
    assert len(rows) == 17 and list(rows[0])[2:] == answers == results(folders)["classes"]
    for key, names, words in (
        ("rejected_of_classes", COLOURS, "12 pictures in folders of classes (wrongly)."),
        ("rejected_of_others", OTHER, "4 pictures in other folders (rightly)."),
    ):
        given = [row["predicted"] for row in rows if row["file"].rpartition("/")[0] in names]
        share = given.count(recognition.NONE) / len(given)
        assert results(folders)[key] == pytest.approx(share)
        assert f"None of these: {share:.2%} of the {words}" in done.stdout
    right = sum(row["predicted"] == row["file"].rpartition("/")[0] for row in rows)
    assert f"Accuracy {right / 12:.2%} over the 12 pictures" in done.stdout and right >= 9
    rates = results(folders)["left_out"]
    assert rates["known"] == rates["strangers"] == 9
    words = f"{1 - rates['known_accepted']:.2%} of 9 left out alone (wrongly), "
    words += f"{rates['strangers_rejected']:.2%} of 9 left out with their class (rightly)."
    assert f"None of these, of the examples (which flatter few classes): {words}" in done.stdout
    asked = {name: str(folders / name) for name in ("support", "query")}
    asked |= {"save": str(folders / "c.keras"), "head": "l2n", "reject": True, "html": True}
    assert asked.items() <= results(folders).items()
    output = folders / "output"
    assert done.stdout.splitlines()[-1] == (
        f"Predictions: {output / 'predictions.csv'}; pictures: {output / 'contact_sheet.png'}; "
        f"page: {output / 'report.html'}; classifier: {folders / 'c.keras'}"
    )
    text = (folders / "output" / "report.html").read_text()
    assert text.count("<img") == 9 + 17 and "blue &lt;b&gt;" in text and "blue <b>" not in text

    files = [folders / "query" / row["file"] for row in rows[:4]]
    seen = np.stack([recognition.Photographs(backbone).picture(file) for file in files])
    np.save(folders / "pictures.npy", seen)
    assert seen.shape == (4, 8, 8, 3) and seen.dtype == np.uint8
    paths = [folders / name for name in ("c.keras", "pictures.npy", "alone.npz")]
    done = subprocess.run([sys.executable, "-c", ALONE, *paths], capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    expected = np.array([[float(row[name]) for name in answers] for row in rows[:4]])
    with np.load(folders / "alone.npz") as alone:
        np.testing.assert_allclose(alone["whole"], expected, atol=2e-5)
        np.testing.assert_allclose(alone["real"], expected, atol=2e-5)


@pytest.mark.parametrize("head", [None, "simple_shot", "l2n"])
def test_heads(folders, backbone, head):
    """They give different answers, kept in Keras models without classes of this package."""
    file = folders / "c.keras"
    (_, accuracy, _), _, _ = classify(folders, backbone, head=head, save=str(file))
    assert accuracy >= 0.75
    classifier = keras.models.load_model(file)
    assert "meta_keras" not in classifier.to_json()
    row = predictions(folders)[0]
    seen = recognition.Photographs(backbone).picture(folders / "query" / row["file"])
    found = classifier.predict(seen[None], verbose=0)[0]
    np.testing.assert_allclose(found, [float(row[name]) for name in list(row)[2:]], atol=2e-5)
    features, _, _, _ = recognition.Photographs(backbone).read(
        sorted((folders / "support").rglob("*.png"))
    )
    feature, _, _, _ = recognition.Photographs(backbone).read([folders / "query" / row["file"]])
    labels = np.repeat(np.arange(3), 3)
    if head is None:  # ridge, lambda 0.5, softmax of ten times the regression's values
        s, q = (f / np.linalg.norm(f, axis=1, keepdims=True) for f in (features, feature))
        values = 10 * q @ s.T @ np.linalg.solve(s @ s.T + 0.5 * np.eye(9), np.eye(3)[labels])
        np.testing.assert_allclose(found, np.exp(values[0]) / np.exp(values).sum(), atol=2e-5)


def test_answers_do_not_depend_on_batches(folders, backbone, monkeypatch):
    monkeypatch.setenv("META_KERAS_CACHE_DIR", str(folders / "cache"))
    table = classify(folders, backbone)[0][0]
    monkeypatch.setattr("meta_keras.recognition.reading.BATCH", 3)
    monkeypatch.setenv("META_KERAS_CACHE_DIR", str(folders / "another"))
    other = classify(folders, backbone)[0][0]
    for row, same in zip(table.splitlines()[1:], other.splitlines()[1:], strict=True):
        numbers, others = (np.array(line.split(",")[2:], float) for line in (row, same))
        np.testing.assert_allclose(numbers, others, atol=2e-6)


def test_a_photograph_is_seen_once(folders, backbone, monkeypatch):
    """A second run finds what the first has computed, and sees what is new alone."""
    monkeypatch.setenv("META_KERAS_CACHE_DIR", str(folders / "cache"))
    seen = []

    def load(path_or_name):
        network = networks.load_backbone(path_or_name)
        predict = network.predict_on_batch
        monkeypatch.setattr(
            network,
            "predict_on_batch",
            lambda x: seen.append(int(x.any((1, 2, 3)).sum())) or predict(x),
        )
        return network

    monkeypatch.setattr("meta_keras.recognition.reading.load_backbone", load)
    table = classify(folders, backbone)[0][0]
    assert sum(seen) == 9 + 16
    seen.clear()
    assert classify(folders, backbone)[0][0] == table and not seen
    photograph((9, 90, 9), 99).save(folders / "query" / "red" / "new.png")
    classify(folders, backbone)
    assert sum(seen) == 1


def test_photographs_without_a_backbone_are_warned_of(folders):
    """Soft spots, which are all half-tones; and drawings are not warned of."""
    y, x = np.mgrid[-40:40, -40:40]
    for picture, warnings in (
        (255 - 200 * np.exp(-(x**2 + y**2) / 32), 1),
        (255 - 200.0 * ((abs(x) < 3) & (abs(y) < 20) | (abs(y - 18) < 3) & (abs(x) < 15)), 0),
    ):
        for file in folders.rglob("[0-9].png"):
            Image.fromarray(np.uint8(picture)).save(file)
        warned = classify(folders)[2]
        assert len(warned) == warnings
        assert all("`backbone`" in words and "no characters" in words for words in warned)


def test_refusals(folders, backbone):
    def refuse(*words, error=SettingError, **options):
        with pytest.raises(error) as raised:
            classify(folders, **options)
        assert all(word in str(raised.value) for word in words), raised.value
        assert not (folders / "output").exists()

    refuse("backbone=", "preset=x", backbone=backbone, preset="x")
    refuse("save=", "needs `backbone`, or a preset", save=str(folders / "c.keras"))
    refuse("must end in .keras", backbone=backbone, save=str(folders / "c.h5"))
    refuse("neither a file", error=BackboneError, backbone="no_such")
    refuse("head=ridge", "needs `backbone`", head="ridge")
    for head in ("ridge", "simple_shot"):
        words = f"head={head} cannot go with reject=True", "take head=l2n"
        refuse(*words, backbone=backbone, head=head, reject=True)
    refuse("head='nearest'", "ridge, simple_shot, l2n", backbone=backbone, head="nearest")
    (folders / "file").write_text("")
    refuse("save=", "cannot be written", backbone=backbone, save=str(folders / "file" / "c.keras"))
    (folders / "support" / "red").rename(folders / "support" / recognition.NONE)
    refuse("reject=True", recognition.NONE, backbone=backbone, reject=True)


def test_backbones_for_other_pictures(folders, tmp_path):
    inputs = keras.Input((8, 6, 3))
    outputs = keras.layers.GlobalAveragePooling2D()(inputs)
    keras.Model(inputs, outputs).save(tmp_path / "oblong.keras")
    with pytest.raises(SettingError, match=r"pictures of shape \(8, 6, 3\)"):
        classify(folders, str(tmp_path / "oblong.keras"))


def flat(channels=3):
    return keras.Sequential([keras.Input((8, 8, channels)), keras.layers.AveragePooling2D(8)])


def test_a_preset_of_photographs_says_what_pictures_are(folders):
    """Its embedding here is the mean of every channel; the logits are minus squared distances."""
    preset, file = folders / "preset", folders / "c.keras"
    PrototypicalNetwork(flat()).save_to_preset(preset)
    (_, accuracy, _), _, warned = classify(folders, preset=preset, save=str(file), reject=True)
    assert accuracy >= 0.9 and not warned and results(folders)["preset"] == str(preset)
    means = {
        path: np.float64(data.read_photograph(path, 8)).mean(axis=(0, 1)) / 255
        for part in ("support", "query")
        for path in (folders / part).rglob("*.png")
    }
    centres = [
        np.mean([means[path] for path in (folders / "support" / name).iterdir()], axis=0)
        for name in sorted(COLOURS)
    ]
    rows, classifier = predictions(folders), keras.models.load_model(file)
    for row in rows:
        path = folders / "query" / row["file"]
        logits = -np.square(means[path] - centres).sum(axis=1)
        found = np.array([float(row[name]) for name in sorted(COLOURS)])
        np.testing.assert_allclose(np.log(found / found[0]), logits - logits[0], atol=2e-5)
        alone = classifier.predict(data.read_photograph(path, 8)[None], verbose=0)[0]
        np.testing.assert_allclose(alone, [float(v) for v in list(row.values())[2:]], atol=2e-5)
    assert {row["predicted"] for row in rows} >= set(COLOURS)


def test_a_transductive_preset_of_photographs(folders):
    """Batch statistics: every picture is normalised with the examples, and none can be alone."""
    keras.utils.set_random_seed(0)
    network = networks.conv4(3, (16, 16, 3), filters=4)
    MAML(network, inner_steps=3).save_to_preset(folders / "preset")
    with pytest.raises(SettingError, match=r"save=.*is transductive"):
        classify(folders, preset=folders / "preset", save=str(folders / "c.keras"))
    table = classify(folders, preset=folders / "preset")[0][0]
    for file in (folders / "query" / "red").iterdir():
        file.unlink()
    others = classify(folders, preset=folders / "preset")[0][0].splitlines()
    assert set(others) == {line for line in table.splitlines() if not line.startswith("red/")}


def test_no_report_of_earlier_answers_stays(folders, backbone):
    classify(folders, backbone, html=True)
    assert (folders / "output" / "report.html").exists()
    (folders / "output" / "notes.txt").write_text("of the user")
    classify(folders, backbone)
    assert sorted(file.name for file in (folders / "output").iterdir()) == [
        "contact_sheet.png",
        "notes.txt",
        "predictions.csv",
        "results.json",
    ]


def test_the_guide_reads_ordinary_photographs_as_the_program_does(folders, backbone, monkeypatch):
    """Its lines are run; a transparent picture is one of those that it says need another reader."""
    guide = (REPOSITORY / "docs" / "guides" / "own-pictures.md").read_text()
    _, _, text = guide.partition("### A classifier to keep")
    lines = [line[4:] for line in text.partition("It takes pixels")[0].splitlines()]
    code = "\n".join(lines[lines.index("import keras, numpy as np") :])
    monkeypatch.chdir(folders)
    photograph(COLOURS["red"], 1, (90, 70)).save("query/new.jpg")
    clear = photograph(COLOURS["green"], 2, (90, 70))
    clear.putalpha(Image.linear_gradient("L").resize((90, 70)))
    clear.save("query/clear.png")
    classify(folders, backbone, save="classifier.keras")
    rows = {row["file"]: list(row.values())[2:] for row in predictions(folders)}

    def by_the_guide(file):
        names = {}
        exec(code.replace("new.jpg", file), names)
        return names["probabilities"][0], names["classifier"]

    found, classifier = by_the_guide("query/new.jpg")
    np.testing.assert_allclose(found, np.float64(rows["new.jpg"]), atol=2e-5)
    found, _ = by_the_guide("query/clear.png")
    assert np.abs(found - np.float64(rows["clear.png"])).max() > 1e-3
    seen = data.read_photograph("query/clear.png", classifier.input_shape[1])
    found = classifier.predict(seen[None], verbose=0)[0]
    np.testing.assert_allclose(found, np.float64(rows["clear.png"]), atol=2e-5)
