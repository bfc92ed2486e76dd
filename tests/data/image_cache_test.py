"""Tests of decoded pictures on disk: they come back mapped, and damage is noticed."""

import numpy as np
import pytest

from meta_keras.data.image_cache import decoded_images

SHAPE = (6, 4, 4, 3)


@pytest.fixture
def load(tmp_path):
    """Function `(fingerprint, file)`: `(images, labels, whether they were decoded)`."""

    def load(fingerprint="data", file=tmp_path / "cache" / "it.npz"):
        calls = []

        def decode(images):
            calls.append(1)
            images[:] = np.arange(6)[:, None, None, None]
            return {"labels": np.arange(6, dtype=np.int32)}

        forms = {"labels": ("i", (6,))}
        images, arrays = decoded_images(file, fingerprint, SHAPE, forms, decode)
        assert (images[:, 0, 0, 0] == range(6)).all() and images.shape == SHAPE
        assert arrays["labels"].tolist() == list(range(6)) and set(arrays) == {"labels"}
        return images, bool(calls)

    return load


def test_decoded_once(load):
    (images, decoded), (again, decoded_again) = load(), load()
    assert decoded and not decoded_again
    assert isinstance(images, np.memmap) and isinstance(again, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        again[0] = 1


def test_other_data_are_decoded(load):
    load()
    assert load("other")[1] and not load("other")[1]


@pytest.mark.parametrize("ending", ["npy", "npz"])
@pytest.mark.parametrize("damage", ["bit", "short", "gone"])
def test_damage(load, tmp_path, caplog, ending, damage):
    load()
    file = tmp_path / "cache" / f"it.{ending}"
    content = bytearray(file.read_bytes())
    content[-1 if ending == "npy" else len(content) // 3] ^= 1
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content if damage == "bit" else content[: len(content) // 2])
    assert load()[1] and not load()[1]
    assert ("is damaged" in caplog.text) == (damage != "gone" or ending == "npy")


def test_what_cannot_be_cached_stays_in_memory(load, tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    for file in (tmp_path / "file" / "it.npz", None):
        images, decoded = load(file=file)
        assert decoded and not isinstance(images, np.memmap)
    assert caplog.text.count("cannot be written") == 2
