"""Trained weights: those that ship with the package and those users save.

A preset is a folder with `learner.keras` (a whole Keras model without its optimizer) and
`card.json` (how it was made, on what, what it reached). The folder of a run with its `best.keras`
serves as one, too.
"""

import json
import pathlib

from meta_keras import files
from meta_keras.errors import PresetError
from meta_keras.presets import model_file

MODEL_FILE = "learner.keras"
CARD_FILE = "card.json"
BEST_FILE = "best.keras"  # the best weights of a run
SETTINGS_FILE = "flags.json"  # how it was started


def builtin_presets():
    """Names of the presets inside the package."""
    here = pathlib.Path(__file__).parent
    return sorted(file.parent.name for file in here.glob(f"*/{MODEL_FILE}"))


def find_preset(preset):
    """The folder of a built-in preset's name or of a path.

    Raises:
        PresetError: there is no such preset.
    """
    return model_path(preset).parent


def model_path(preset):
    """The file with the model of a preset, or of the folder of a run.

    Raises:
        PresetError: there is no such preset.
    """
    for folder in (pathlib.Path(__file__).parent / preset, pathlib.Path(preset).expanduser()):
        for name in (MODEL_FILE, BEST_FILE):
            if (folder / name).is_file():
                return folder / name
    raise PresetError(
        f"preset={str(preset)!r} is neither a folder with {MODEL_FILE} or {BEST_FILE} nor one of "
        f"the built-in presets: {', '.join(builtin_presets()) or 'none'}."
    )


def load_preset(preset):
    """The model of a preset, not compiled; no code that its file may hold is run.

    Raises:
        PresetError: there is no such preset, its file is damaged, or it holds a `Lambda` or
            classes that are not known.
    """
    file = model_path(preset)
    try:
        return model_file.load(file)
    except model_file.UnreadableModel as error:
        raise PresetError(f"preset={str(preset)!r} cannot be loaded: {file} {error}.") from error


def preset_card(preset):
    """The card of a preset, a dict.

    Raises:
        PresetError: there is no such preset, or its card is missing or damaged.
    """
    return _read_card(preset, find_preset(preset) / CARD_FILE)


def _read_card(preset, file):
    try:
        return files.read_json(file)
    except (OSError, ValueError) as error:
        raise PresetError(f"preset={str(preset)!r}: {file} cannot be read ({error}).") from error


def save_preset(model, path, card=None):
    """Writes a preset folder; an existing file is not overwritten.

    Args:
        model: a `keras.Model`.
        path: the folder, made if it is not there.
        card: a JSON-able dict about the model.

    Raises:
        PresetError: `path` exists and is not an empty folder.
        OutputError: the disk is full, or the folder cannot be written.
    """
    folder = pathlib.Path(path).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PresetError(f"preset path={str(path)!r} exists already; name a new folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(folder) as part:
        part.mkdir()
        model_file.save(model, part / MODEL_FILE)
        (part / CARD_FILE).write_text(json.dumps(card or {}, indent=1) + "\n")


def preset_method(preset):
    """What a preset's card, or a run's settings, call its method; None if they are silent.

    Raises:
        PresetError: there is no such preset, or what should tell is damaged.
    """
    folder = find_preset(preset)
    name = next((name for name in (CARD_FILE, SETTINGS_FILE) if (folder / name).exists()), None)
    if name is None:
        return None
    return _read_card(preset, folder / name).get("method")
