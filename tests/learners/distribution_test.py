"""A learner under a `tf.distribute` strategy learns what it learns without one."""

import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent


def test_two_mirrored_devices_learn_as_one(environment):
    # In a process of its own: logical devices must be made before TensorFlow is first used.
    done = subprocess.run(
        [sys.executable, str(HERE / "train_on_two_devices.py")],
        env={**environment, "PYTHONPATH": str(HERE.parents[1])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
