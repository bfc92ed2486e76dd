"""What programs write to disk, without TensorFlow."""

import importlib.metadata
import json
import os
import pathlib
import platform
import tempfile


def write_json(file, value):
    """Writes a JSON file all at once or not at all."""
    file = pathlib.Path(file)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, suffix=".tmp", delete=False) as part:
        json.dump(value, part, indent=1)
        part.write("\n")
    os.chmod(part.name, 0o644)
    os.replace(part.name, file)


def versions():
    """Versions of Python and of the packages that decide a result."""
    names = ("meta_keras", "tensorflow", "keras", "numpy", "tensorflow-datasets")
    found = {name: importlib.metadata.version(name) for name in names}
    return {"python": platform.python_version(), **found}
