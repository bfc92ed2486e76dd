"""What a checkpoint's `state.json` says, checked before it is believed."""

import hashlib
import math
import numbers
import pathlib
import re

from meta_keras import files

NAME = re.compile(r"[0-9]+(-[0-9]+)?")


def found(folder):
    """The checkpoints in a folder, a list of `pathlib.Path`s."""
    return [path for path in pathlib.Path(folder).glob("*") if NAME.fullmatch(path.name)]


def newest(folder):
    """The newest checkpoint in a folder, a `pathlib.Path`; None if there is none."""
    return max(found(folder), key=order, default=None)


def name(epoch, updates=0):
    """Name of the checkpoint after so many epochs, and so many updates of the one begun then."""
    return f"{epoch:06d}" + (f"-{updates:06d}" if updates else "")


def order(checkpoint):
    """What checkpoints are ordered by, of a path named by `name`."""
    return tuple(map(int, checkpoint.name.split("-")))


def read(checkpoint):
    """The state in a checkpoint's folder.

    Raises:
        ValueError: it is damaged, or that of another checkpoint.
        OSError: it cannot be read.
    """
    try:
        state = files.read_json(checkpoint / "state.json")
    except ValueError as error:
        raise ValueError(f"state.json: {error}") from error
    for key, is_valid in FIELDS.items():
        if key not in state and key in NEEDED:
            raise ValueError(f"state.json lacks {key}")
        if key in state and not is_valid(state[key]):
            raise ValueError(f"in state.json {key} is {str(state[key])[:80]}")
    if order(checkpoint) != order(pathlib.Path(name(state["epoch"], state.get("updates", 0)))):
        raise ValueError("its state.json is of another checkpoint")
    if state["best_epoch"] > state["epoch"] or (state["best"] is None) != (not state["best_epoch"]):
        raise ValueError("state.json contradicts itself")
    return state


def sha256(file):
    """The digest of a file, in hexadecimal digits."""
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_digest(value):
    return isinstance(value, str) and len(value) == 64


FIELDS = {
    "epoch": _is_count,
    "best_epoch": _is_count,
    "best": lambda value: value is None or (_is_number(value) and not math.isnan(value)),
    "seconds": lambda value: _is_number(value) and 0 <= value < math.inf,
    "sha256": _is_digest,
    "best_sha256": _is_digest,
    "run": lambda value: value is None or _is_digest(value),
    "updates": lambda value: _is_count(value) and value > 0,
    "metrics": lambda value: isinstance(value, list),
    "logs": lambda value: isinstance(value, dict) and all(map(_is_number, value.values())),
}
NEEDED = ("epoch", "best_epoch", "best", "seconds", "sha256")
