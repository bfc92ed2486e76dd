"""`adapt` gives an ordinary Keras classifier that says what the learner says."""

import pathlib
import subprocess
import sys

import keras
import numpy as np

from tests.conformance.descriptors import LEARNERS

PROGRAM = pathlib.Path(__file__).with_name("load_and_predict.py")


def test_the_learners_logits(row, make_learner, make_batch, compiled):
    x, y = make_batch(2, "float64")
    learner = make_learner("float64")
    expected = np.array(learner(x))
    classifiers = [learner.adapt(*row.classes_of(x, k)) for k in range(2)]
    # What the classifiers hold is their own.
    compiled(learner).train_on_batch(x, y)
    for k, classifier in enumerate(classifiers):
        assert type(classifier).__module__.startswith("keras.")
        images = x["query_images"][k]
        np.testing.assert_allclose(classifier(images), expected[k], rtol=1e-9, atol=1e-11)
        if not row.transductive:
            alone = classifier(images[:1])[0]
            np.testing.assert_allclose(alone, expected[k][0], rtol=1e-9, atol=1e-11)
    assert np.abs(learner(x) - expected).max() > 1e-5


def test_one_picture_a_class_in_plain_lists(row, make_learner, make_batch):
    x, _ = make_batch(kshot=1)
    learner = make_learner()
    classifier = learner.adapt(*(list(part) for part in row.classes_of(x)))
    logits = classifier.predict_on_batch(x["query_images"][0])
    np.testing.assert_allclose(logits, learner(x)[0], rtol=1e-4, atol=1e-4)


def test_classifiers_live_without_the_package(parts, make_episodes, tmp_path, environment):
    images = make_episodes(dtype="float32")[0]["query_images"][0]
    np.save(tmp_path / "images.npy", images)
    expected = {}
    for row in LEARNERS:
        keras.utils.set_random_seed(0)
        x, _ = row.make_batch(make_episodes)
        classifier = row.build(parts, "float32").adapt(*row.classes_of(x))
        classifier.save(tmp_path / f"{row.name}.keras")
        expected[row.name] = np.array(classifier(images))
    command = [sys.executable, str(PROGRAM), *expected]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    for name, logits in expected.items():
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), logits, err_msg=name)
