"""Tests of what TensorBoard shows of a run's settings."""

import tensorflow as tf

from meta_keras.training.summaries import write_settings


def test_settings_are_a_table_whatever_their_values(tmp_path):
    values = {"data_dir": "a|b\nc", "preset": "$x$=1"}
    write_settings(tmp_path, values, {"seed": 1})
    (file,) = (tmp_path / "validation").glob("events*")
    texts = [
        value.tensor.string_val[0].decode()
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
        if value.tag == "flags"
    ]
    assert texts[0].splitlines()[2:] == [r"| data_dir | a\|b\nc |", "| preset | $x$=1 |"]
