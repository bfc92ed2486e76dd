"""Tests of Glyphs as a TFDS data set."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from meta_keras.data import glyphs
from meta_keras.data.glyphs_builder import Glyphs, GlyphsConfig


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    config = GlyphsConfig(name="tiny", train_alphabets=2, test_alphabets=1, drawers=2)
    builder = Glyphs(data_dir=tmp_path_factory.mktemp("tfds"), config=config)
    builder.download_and_prepare()
    return builder


@pytest.mark.parametrize(
    "bad", [{"seed": -1}, {"train_alphabets": 0}, {"test_alphabets": 0}, {"drawers": 0}]
)
def test_config_rejects(bad):
    with pytest.raises(ValueError, match="at least"):
        GlyphsConfig(name="bad", **bad)


def test_default_data_set_has_omniglot_s_features(tmp_path):
    builder = Glyphs(data_dir=tmp_path)
    assert builder.info.full_name == "glyphs/1.0.0"
    features = builder.info.features
    assert features["image"].shape == (105, 105, 3)
    assert features["image"].np_dtype == np.uint8
    assert features["alphabet"].num_classes == 50
    assert features["label"].num_classes == 1000
    assert features["alphabet_char_id"].np_dtype == np.int64
    assert features["strokes"].shape == (4, 10, 2)
    assert features["strokes"].np_dtype == np.float32
    assert features["stroke_count"].np_dtype == np.int64
    assert builder.info.supervised_keys == ("image", "label")


def test_prepared_data_set_is_what_was_drawn(tiny):
    strokes, counts = glyphs.character_programs(0, 60)
    seen = {}
    for split, labels in [("train", range(40)), ("test", range(40, 60))]:
        examples = list(tfds.as_numpy(tiny.as_dataset(split=split)))
        assert tiny.info.splits[split].num_examples == len(examples) == 2 * len(labels)
        assert {int(e["label"]) for e in examples} == set(labels)
        for e in examples:
            label = int(e["label"])
            assert e["alphabet"] == label // 20
            assert e["alphabet_char_id"] == label % 20
            assert e["stroke_count"] == counts[label]
            np.testing.assert_array_equal(e["strokes"], strokes[label])
            assert e["image"].shape == (105, 105, 3) and e["image"].dtype == np.uint8
            assert (e["image"] == e["image"][:, :, :1]).all()
            seen.setdefault(label, set()).add(e["image"][:, :, 0].tobytes())
    for label in range(60):
        assert seen[label] == {
            glyphs.draw(strokes[label, : counts[label]], 0, label, drawer).tobytes()
            for drawer in range(2)
        }


def test_prepared_data_set_loads_by_name(tiny):
    builder = tfds.builder_from_directory(tiny.data_dir)
    examples = list(tfds.as_numpy(builder.as_dataset(split="test")))
    assert len(examples) == 40
    assert examples[0]["strokes"].shape == (4, 10, 2)
