"""Tests of writing: all files or none."""

import keras
import pytest

from meta_keras.errors import SettingError
from meta_keras.recognition import output


@pytest.fixture
def model():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])


def files(folder):
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def write(folder, model, last=b"new"):
    contents = {"first": b"new", "gone": None, "last": last}
    output.write_all(folder / "out", contents, folder / "c.keras", model)


@pytest.fixture
def before(tmp_path):
    """A folder with what an earlier run has left."""
    (tmp_path / "out").mkdir()
    for name in ("first", "gone", "kept"):
        (tmp_path / "out" / name).write_bytes(b"old")
    (tmp_path / "c.keras").write_bytes(b"old")
    return tmp_path


def test_all(before, model):
    write(before, model)
    found = files(before)
    assert found.pop("c.keras") != b"old"
    assert found == {"out/first": b"new", "out/last": b"new", "out/kept": b"old"}
    keras.models.load_model(before / "c.keras")
    write(before, model)  # What is to be gone may be gone already.


@pytest.mark.parametrize("name", ["out/first", "out/last", "c.keras"])
def test_none_where_one_is_a_folder(before, model, name):
    (before / name).unlink(missing_ok=True)
    (before / name / "deep").mkdir(parents=True)
    found = files(before)
    argument = f"save={before / name}" if name == "c.keras" else f"output={before / 'out'}"
    with pytest.raises(SettingError) as error:
        write(before, model)
    assert str(error.value).startswith(f"{argument} cannot be written: ")
    assert files(before) == found and (before / name / "deep").is_dir()


@pytest.mark.parametrize(("name", "argument"), [("last", "output"), ("c.keras", "save")])
def test_none_where_one_cannot_take_its_place(before, model, monkeypatch, name, argument):
    """The ones before it are undone, what was removed is there again."""
    found, move, done = files(before), output.move, []

    def failing(source, target):
        if target.name == name and not done.count("failed"):
            done.append("failed")
            raise OSError(5, "Input/output error")
        move(source, target)
        done.append(target.name)

    monkeypatch.setattr(output, "move", failing)
    with pytest.raises(SettingError, match=rf"^{argument}=.* cannot be written: Input/output"):
        write(before, model)
    assert files(before) == found
    assert (
        done
        == {
            "last": ["first", "failed", "gone", "first"],
            "c.keras": ["first", "last", "failed", "gone", "first"],
        }[name]
    )


def test_none_where_the_model_cannot_be_saved(before, model, monkeypatch):
    def full(path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model, "save", full)
    found = files(before)
    with pytest.raises(SettingError, match="^save=.* cannot be written: No space left"):
        write(before, model)
    assert files(before) == found
