"""What cannot be is said at once: before anything is loaded, computed or written."""

import os
import pathlib

from meta_keras import presets
from meta_keras.data import folder as folders
from meta_keras.errors import DatasetError, SettingError
from meta_keras.recognition.output import NONE
from meta_keras.recognition.reading import Characters, check_classes
from meta_keras.recognition.rejection import check_rejecting
from meta_keras.training import run_folder


def check_options(preset, backbone, head, save, reject):
    """Refuses arguments that exclude each other.

    Raises:
        SettingError: they do; or `save` does not end in `.keras`.
    """
    if backbone and preset:
        raise SettingError(
            f"backbone={backbone} and preset={preset} both say what sees the pictures; name one."
        )
    if head and not backbone:
        raise SettingError(f"head={head} needs `backbone`, whose features it compares.")
    if reject and head not in (None, "l2n"):
        raise SettingError(
            f"head={head} cannot go with reject=True, which goes by distances that do not depend "
            "on the other classes: take head=l2n."
        )
    if save and pathlib.Path(save).suffix != ".keras":
        raise SettingError(f"save={save} must end in .keras.")


def check_folders(support, query, output):
    """The three as absolute paths.

    Raises:
        DatasetError: `support` or `query` is no folder.
        SettingError: one would spoil another, or `output` cannot be written.
    """
    support, query, output = map(resolved, (support, query, output))
    for name, path in (("support", support), ("query", query)):
        if not path.is_dir():
            raise DatasetError(f"{name}={path} is not a folder.")
        _check_outside("output", output, name, path, "folder")
    if query.is_relative_to(support) or support.is_relative_to(query):
        raise SettingError(
            f"support={support} and query={query} must not contain each other: pictures that "
            "serve as examples cannot be test pictures too."
        )
    _check_place("output", output)
    return support, query, output


def check_targets(output, names, save, support, query):
    """Refuses to write where it would fail, or among pictures.

    Args:
        output: resolved path of the folder.
        names: of the files that are written to it or removed.
        save: path of the classifier's file, None if there is none.
        support, query: resolved paths.

    Returns:
        `save`, resolved; or None.

    Raises:
        SettingError: a file would take the place of a folder, or `save` cannot be written or lies
            among the pictures.
    """
    for name in names:
        if (output / name).is_dir():
            raise SettingError(f"output={output} cannot be written: {name} in it is a folder.")
    if not save:
        return None
    save = resolved(save)
    if save.is_dir():
        raise SettingError(f"save={save} is a folder; name a file.")
    for name, path in (("support", support), ("query", query)):
        _check_outside("save", save, name, path, "file")
    _check_place("save", save.parent)
    return save


def check_sources(output, save, backbone, preset):
    """Refuses to write over the network that the answers are made with.

    Args:
        output, save: resolved paths; `save` may be None.
        backbone: path or name, None if there is none.
        preset: name or folder, which counts where there is no backbone.

    Raises:
        SettingError: `save` is the backbone's file or lies in the preset's folder, or `output` is
            that folder.
        PresetError: there is no such preset.
    """
    if backbone:
        if save and save == resolved(backbone):
            raise SettingError(
                f"save={save} is the file of backbone={backbone}, which would be lost; name "
                "another."
            )
        return
    weights = presets.model_path(preset)
    folder = weights.parent.resolve()
    if save and (save.is_relative_to(folder) or save == weights.resolve()):
        raise SettingError(
            f"save={save} lies in the folder of preset={preset}, which must stay as it is; name a "
            "file outside of it."
        )
    if output == folder:
        raise SettingError(
            f"output={output} is the folder of preset={preset}, which must stay as it is; name "
            "another."
        )


def check_other_runs(output, save):
    """Refuses to write into the folder of a run, or over another program's results.

    Args:
        output, save: resolved paths; `save` may be None.

    Raises:
        SettingError: something would be lost.
    """
    if save and (save.parent / presets.SETTINGS_FILE).exists():
        raise SettingError(f"save={save} lies in the folder of a run; name a file outside of it.")
    experiment = run_folder.experiment_in(output)
    if experiment not in (None, "classify") or (output / presets.SETTINGS_FILE).exists():
        raise SettingError(
            f"output={output} holds something else ({experiment}); name another folder."
        )


def check_preset_rejects(learner, preset):
    """Refuses `reject` with a preset whose logit of a class depends on the other classes.

    Raises:
        SettingError: it does.
    """
    try:
        check_rejecting(learner)
    except ValueError as error:
        raise SettingError(f"reject=True with preset={preset}: {error}") from error


def check_saving(reader, save, preset):
    """Refuses to save what would not be a Keras model for pictures.

    Raises:
        SettingError: the pictures are characters, or the learner is transductive.
    """
    if isinstance(reader, Characters):
        raise SettingError(
            f"save={save} needs `backbone`, or a preset for photographs: what makes a drawing of a "
            "picture of a character is no part of a Keras model."
        )
    if reader.learner.is_transductive():
        raise SettingError(
            f"save={save} cannot go with preset={preset}, which is transductive: its classifier "
            "needs the examples beside every picture."
        )


def find_pictures(support, query, reject, report):
    """Looks for pictures, and reads none yet.

    Args:
        support, query: paths.
        reject: whether there is an answer `NONE` beside the classes.
        report: function that is told of a list of skipped `(file, reason)`.

    Returns:
        `(found, paths, skipped)`: a dict from the name of a class to the paths of its examples; a
        list of the paths to classify; and a list of `(file, reason)` for files that are no
        pictures.

    Raises:
        DatasetError: `support` has no class folders, or a folder cannot be read.
        SettingError: there are fewer than two classes, one has no picture or is called `NONE`
            where that is an answer; or there is no picture to classify.
    """
    found, skipped = _look(folders.class_folders, "support", support)
    to_classify, others = _look(folders.find_pictures, "query", query)
    skipped = skipped + others
    report(skipped)
    classes, paths = list(found), [path for paths in to_classify.values() for path in paths]
    if len(classes) < 2:
        raise SettingError(
            f"support={support} has the single class {classes[0]!r}; at least 2 are needed."
        )
    if reject and NONE in classes:
        raise SettingError(
            f"reject=True answers {NONE!r}, so no class of `support` may be called so."
        )
    check_classes(found)
    if not paths:
        raise SettingError(f"query={query} has no pictures.")
    return found, paths, skipped


def resolved(path):
    """A path as the system understands it: absolute, without links and `~`."""
    return pathlib.Path(path).expanduser().resolve()


def _look(find, name, path):
    try:
        return find(path)
    except DatasetError as error:
        raise DatasetError(f"{name}={path}: {error}") from error


def _check_outside(name, path, other, folder, kind):
    if path.is_relative_to(folder):
        raise SettingError(f"{name}={path} lies in {other}={folder}; name a {kind} outside of it.")


def _check_place(name, folder):
    """Refuses a folder that is none, or that cannot be made; makes none yet."""
    place = next(path for path in (folder, *folder.parents) if path.exists())
    if not place.is_dir():
        raise SettingError(f"{name}={folder} cannot be written: {place} is not a folder.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise SettingError(f"{name}={folder} cannot be written: no permission for {place}.")
