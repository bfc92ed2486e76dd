"""Data sets on disk: which there are, and how TFDS prepares them from downloads or own files.

TFDS is imported only when a data set is opened.
"""

import contextlib
import hashlib
import os
import pathlib
import urllib.error
import urllib.request

from absl import logging

from meta_keras.errors import DatasetError, SettingError, UserError


def _omniglot(data_dir):
    import tensorflow_datasets as tfds

    return tfds.builder("omniglot:3.0.0", data_dir=data_dir)


def _glyphs(data_dir):
    from meta_keras.data.glyphs_builder import Glyphs

    return Glyphs(data_dir=data_dir)


TEXTS = (".json", ".txt")  # what TFDS writes beside the pictures
# From a data set's name to a function from its TFDS folder to its builder.
BUILDERS = {"omniglot": _omniglot, "glyphs": _glyphs}


def open_builder(dataset, data_dir=None):
    """The TFDS builder of a data set, prepared or not.

    Args:
        dataset: a name in `BUILDERS`.
        data_dir: TFDS folder; TFDS' own default if None.

    Returns:
        A `tfds.core.DatasetBuilder`.

    Raises:
        SettingError: there is no such data set.
        DatasetError: what lies in the folder cannot be opened.
    """
    if dataset not in BUILDERS:
        raise SettingError(f"dataset must be one of {sorted(BUILDERS)}, got {dataset!r}.")
    return opened(dataset, BUILDERS[dataset], data_dir)


def opened(dataset, make, data_dir=None):
    """A data set's builder, as `make` makes it of its TFDS folder.

    Args:
        dataset: what to call it in messages.
        make: function of a path, or of None for TFDS' own default.
        data_dir: TFDS folder; TFDS' own default if None.

    Raises:
        DatasetError: what lies in the folder cannot be opened.
    """
    try:
        return make(os.path.expanduser(data_dir) if data_dir else None)
    except UserError:
        raise
    except Exception as error:  # TFDS meets a damaged folder with many kinds of exception
        raise DatasetError(
            f"The {dataset} data in {data_dir or 'the TFDS folder'} cannot be opened ({error}). "
            "Delete that copy, or name another `data_dir`."
        ) from error


@contextlib.contextmanager
def naming_damage(builder):
    """What goes wrong while prepared data are read becomes a `DatasetError` that names them."""
    try:
        yield
    except (DatasetError, MemoryError):
        raise
    except Exception as error:  # TFDS and TensorFlow meet damage with many kinds of exception.
        raise DatasetError(
            f"{builder.name} in {builder.data_dir} is damaged: "
            f"{str(error) or type(error).__name__}\n"
            "Delete that folder and prepare it again."
        ) from error


def fingerprint(builder):
    """Names the very data a cache was made of; checks on the way that every file is there."""
    parts = [builder.name, str(builder.version)]
    # Names of classes, and how pictures are stored.
    files = sorted(p for p in pathlib.Path(builder.data_dir).iterdir() if p.suffix in TEXTS)
    for split, info in sorted(builder.info.splits.items()):
        for path in map(pathlib.Path, info.filepaths):
            if not path.is_file():
                raise DatasetError(
                    f"{builder.name} in {builder.data_dir} is incomplete: {path.name} of split "
                    f"{split!r} is missing. Delete that folder and prepare it again."
                )
            files.append(path)
    parts += [f"{path.name}:{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in files]
    return "|".join(parts)


def choose_dataset(data_dir=None, manual_dir=None):
    """Omniglot where it is prepared or can be prepared now, else glyphs.

    Without a network that is decided within seconds; where Omniglot can be downloaded, it is.

    Args:
        data_dir: TFDS folder; TFDS' own default if None.
        manual_dir: folder with the official Omniglot zips, if there is one. It is not looked into.

    Returns:
        `(dataset, reason)`; the reason is a sentence.

    Raises:
        DatasetError: what lies in `data_dir` under Omniglot's name cannot be opened.
    """
    builder = open_builder("omniglot", data_dir)
    if builder.is_prepared():
        return "omniglot", "Omniglot is prepared in the data folder."
    if manual_dir:
        return "omniglot", "Omniglot's files are in manual_dir."
    problem = _download_problem(builder)
    if problem:
        return "glyphs", f"Omniglot is not prepared in {builder.data_dir} and {problem}."
    try:
        prepare(builder)
    except DatasetError as error:
        return "glyphs", str(error)
    return "omniglot", "Omniglot was downloaded."


def prepare(builder, manual_dir=None):
    """Prepares a TFDS data set unless it is prepared already.

    Args:
        builder: a `tfds.core.DatasetBuilder`.
        manual_dir: folder with the builder's official files, used instead of a download after
            their checksums have been verified.

    Raises:
        DatasetError: the files cannot be had, are not the official ones, or cannot be written.
    """
    if builder.is_prepared():
        return
    if manual_dir and builder.url_infos:
        _verify_manual_files(builder, pathlib.Path(manual_dir).expanduser())
    else:
        # TFDS itself retries for minutes before it gives up.
        problem = _download_problem(builder)
        if problem:
            raise DatasetError(
                f"{builder.name} is not prepared in {builder.data_dir} and {problem}. Name a "
                "prepared TFDS folder with `data_dir`, or a folder with the official files with "
                f"`manual_dir`{_listed(builder)}."
            )
    import tensorflow_datasets as tfds

    logging.info("Preparing %s in %s", builder.name, builder.data_dir)
    try:
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
        )
    except Exception as error:  # from the network, the disk or the archives
        raise DatasetError(
            f"{builder.name} could not be prepared in {builder.data_dir}: {error}"
        ) from error


def _download_problem(builder):
    """Why the builder's files cannot be downloaded now, or None. Answers within seconds."""
    for url in list(builder.url_infos or ())[:1]:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=5).close()
        except urllib.error.HTTPError as error:
            # A server that answers, if only that it does not tell of a file without sending it.
            if error.code not in (401, 403, 405, 501):
                return f"{url} does not answer ({error})"
        except OSError as error:
            return f"{url} does not answer ({getattr(error, 'reason', error)})"
    return None


def _listed(builder):
    """The official files in brackets, as far as they have names."""
    names = [info.filename for info in builder.url_infos.values() if info.filename]
    return f" ({', '.join(names)})" if names else ""


def _verify_manual_files(builder, folder):
    for info in builder.url_infos.values():
        if not info.filename:
            continue
        file = folder / info.filename
        if not file.is_file():
            raise DatasetError(
                f"manual_dir={folder} lacks {info.filename}, one of the official "
                f"files{_listed(builder)}."
            )
        checksum = hashlib.sha256(file.read_bytes()).hexdigest()
        if checksum != info.checksum:
            raise DatasetError(
                f"{file} is not the official file: its SHA-256 is {checksum}, expected "
                f"{info.checksum}."
            )
