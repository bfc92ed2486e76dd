"""What tests of the few-shot program share: its flags and runs of it, in this process."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from absl.testing import flagsaver

from experiments import few_shot, few_shot_learner, program


@pytest.fixture
def run(any_data, monkeypatch):
    """Function `(logdir, *flags)` that runs the program; returns what `results.json` holds.

    Without graphs: tracing them would take longer than the few episodes do.
    """
    dataset, folder = any_data
    monkeypatch.setattr(
        few_shot, "set_up_runtime", lambda: keras.utils.set_random_seed(flags.FLAGS.seed)
    )

    def run(logdir, *arguments):
        with flagsaver.flagsaver():
            data = [f"--dataset={dataset}", f"--data_dir={folder}", f"--logdir={logdir}"]
            flags.FLAGS(["few_shot", *data, *map(str, arguments)])
            few_shot.main()
        return json.loads((logdir / "results.json").read_text())

    tf.config.run_functions_eagerly(True)
    yield run
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def applied():
    """Function: the values of all flags once the method's are applied."""

    def applied(*arguments):
        with flagsaver.flagsaver():
            flags.FLAGS(["few_shot", *map(str, arguments)])
            few_shot_learner.apply_method()
            few_shot.check_flags()
            return program.module_flags("experiments.few_shot")

    return applied


@pytest.fixture
def new_learner():
    """Function: a compiled learner as the flags say."""

    def new_learner(*arguments):
        with flagsaver.flagsaver():
            flags.FLAGS(["few_shot", *map(str, arguments)])
            few_shot_learner.apply_method()
            learner = few_shot_learner.new_learner()
            few_shot.compile_learner(learner, 10)
            return learner

    return new_learner


@pytest.fixture
def check_resuming(run, tmp_path, monkeypatch):
    """Function that compares a run of two validations with one interrupted after the first."""

    def check(*arguments, **tolerance):
        run(tmp_path / "whole", *arguments)
        begin = few_shot.callbacks.Progress.on_epoch_begin

        def stop(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt
            begin(self, epoch, logs)

        with monkeypatch.context() as patched:
            patched.setattr(few_shot.callbacks.Progress, "on_epoch_begin", stop)
            with pytest.raises(KeyboardInterrupt):
                run(tmp_path / "parts", *arguments)
        assert not (tmp_path / "parts" / "results.json").exists()
        run(tmp_path / "parts", *arguments)
        whole, parts = (
            keras.models.load_model(tmp_path / name / "checkpoints" / "000002" / "learner.keras")
            for name in ("whole", "parts")
        )
        for one, other in zip(whole.variables, parts.variables, strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), **tolerance)

    return check
