"""A whole Keras model in a `.keras` file: written without its optimizer, read with care."""

import json
import pathlib
import zipfile

import keras

from meta_keras.errors import UserError

LAMBDAS = ("Lambda", "__lambda__")


class UnreadableModel(ValueError):
    """A file that is not read; the message goes on where the file's name stood."""


def save(model, file):
    """Writes a model without its optimizer.

    Keras' own `save(include_optimizer=False)` leaves the optimizer in a `.keras` file.

    Args:
        model: a `keras.Model`, compiled or not; it is the same afterwards.
        file: path that ends in `.keras`.
    """
    if not model.compiled:
        model.save(file)
        return
    optimizer = model.optimizer
    try:
        model.optimizer, model.compiled = None, False
        model.save(file)
    finally:
        model.optimizer, model.compiled = optimizer, True


def load(file, compile=False):
    """Reads a model; no code that the file may hold is run.

    Args:
        file: path that ends in `.keras`.
        compile: whether the optimizer is read as well.

    Raises:
        UnreadableModel: the file is missing or damaged, or holds code or classes that are not
            known.
        UserError: of the model itself, which says what does not fit.
    """
    _check(pathlib.Path(file))
    try:
        return keras.models.load_model(file, compile=compile, safe_mode=True)
    except UserError:
        raise
    except Exception as error:  # damage shows as HDF5, JSON, type or value errors
        raise UnreadableModel(f"is damaged ({_short(error)})") from error


def compile_from_config(model, config):
    """Compiles a loaded model, of a class with a `compile` of its own, as it was.

    Keras leaves such models as they are. A class takes this function as its method.
    """
    model.compile(**keras.saving.deserialize_keras_object(config))
    model.optimizer.build(model.trainable_variables)


def _check(file):
    """Looks at the file before Keras does, which calls a damaged one "not found"."""
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
            if damaged:
                raise UnreadableModel(f"is damaged ({damaged} in it is not what was written)")
            config = json.loads(archive.read("config.json"))
        _check_classes(config)
    except UnreadableModel:
        raise
    except OSError as error:
        raise UnreadableModel(f"cannot be read ({error.strerror or _short(error)})") from error
    except zipfile.BadZipFile as error:
        size = file.stat().st_size
        raise UnreadableModel(
            f"is damaged (its {size:,} bytes are no .keras file, or only the first part of one)"
        ) from error
    except Exception as error:  # any byte may be damaged: zlib, encryption, names, JSON
        raise UnreadableModel(f"is damaged ({_short(error)})") from error


def _check_classes(config):
    """Refuses code, and classes that neither Keras nor anything imported has made known."""
    if isinstance(config, list):
        for part in config:
            _check_classes(part)
    if not isinstance(config, dict):
        return
    name, module = config.get("class_name"), config.get("module")
    if name in LAMBDAS:
        raise UnreadableModel(
            "holds a Lambda, that is Python code, which is never run from a file; save the model "
            "with a layer class of its own instead"
        )
    if isinstance(name, str) and isinstance(module, str):
        registered = config.get("registered_name") or name
        known = module.split(".")[0] in ("keras", "builtins")
        if not known and keras.saving.get_registered_object(registered) is None:
            raise UnreadableModel(
                f"holds a {name} of {module}, which is not known here; if you trust that package, "
                "import it first"
            )
    for part in config.values():
        _check_classes(part)


def _short(error):
    """The first line of an error, which may quote a whole file."""
    line = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {line[:200]}"
