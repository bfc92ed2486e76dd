"""Labels, pictures and losses: taken at every door, or refused in words at every door."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_keras.learners import BalancedPairsLoss, RelationLoss
from tests.conformance.descriptors import with_one_step
from tests.conformance.refusals import assert_refused

LABELS = np.array([0, 0, 1, 1, 2, 2])
BAD_LABELS = {
    "from 1": (LABELS + 1, r"got \[1, 2, 3\]"),
    "gaps": (LABELS * 2, r"got \[0, 2, 4\]"),
    "negative": (LABELS - 1, r"got \[-1, 0, 1\]"),
    "a class without a picture": (np.array([0, 0, 0, 2, 2, 2]), r"got \[0, 2\]"),
    "enormous": (LABELS + 2**40, "every class in every episode"),
    "floats": (LABELS.astype("float32"), "integers from 0 to N-1, got float32"),
    "booleans": (LABELS > 0, "got bool"),
    "texts": (np.array(list("abc"))[LABELS], "got string"),
    "one-hot": (np.eye(3, dtype="int32")[LABELS], r"the shape \(6, 3\)"),
    "a column": (LABELS[:, None], r"the shape \(6, 1\)"),
    "too few": (LABELS[:-1], r"each of the 6 support_images.*\(5,\)"),
}
INTEGERS = ("uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "uint64")


@pytest.fixture
def learner(row, make_learner):
    row.promises("label checks")
    return make_learner()


def test_bad_support_labels(row, learner, make_batch):
    x, _ = make_batch()
    images = x["support_images"][0]
    for case, (labels, message) in BAD_LABELS.items():
        message = f"{type(learner).__name__}: support_labels .*{message}"
        assert_refused(f"{case}, in adapt", message, learner.adapt, images, labels)
        batch = {**x, "support_labels": labels[None]}
        assert_refused(f"{case}, in a call", message, learner, batch)


def test_more_classes_than_the_learner_tells_apart(row, learner, make_batch):
    x, _ = make_batch(classes=5)
    labels = x["support_labels"]
    if row.num_classes is None:
        assert learner(x).shape[-1] == 5
        return
    with pytest.raises(ValueError, match=r"tells 3 classes apart\), got \[0, 1, 2, 3, 4\]"):
        learner(x)
    with pytest.raises(ValueError, match="tells 3 classes apart"):
        learner.adapt(x["support_images"][0], labels[0])


def test_every_integer_type(row, learner, make_batch):
    """All become int32 at the door; of two of them what the learner says is looked at too."""
    x, _ = make_batch()
    expected = np.array(learner(x))
    for dtype in INTEGERS:
        labels = x["support_labels"].astype(dtype)
        checked = learner.checked_inputs({**x, "support_labels": labels})["support_labels"]
        assert checked.dtype == tf.int32
        np.testing.assert_array_equal(checked, x["support_labels"])
        if dtype in ("int8", "uint64"):
            np.testing.assert_array_equal(learner({**x, "support_labels": labels}), expected)
    for labels in (x["support_labels"][0].tolist(), tf.constant(x["support_labels"][0], tf.uint8)):
        logits = learner.adapt(x["support_images"][0], labels)(x["query_images"][0])
        np.testing.assert_allclose(logits, expected[0], rtol=1e-4, atol=1e-4)


def test_bad_pictures(row, learner, make_batch):
    x, _ = make_batch()
    images, labels = x["support_images"][0], x["support_labels"][0]
    for bad in (images[..., 0], images.repeat(3, -1), images.transpose(0, 3, 1, 2)):
        with pytest.raises(ValueError, match=r"support_images must be of the shape \[n, 6, 6, 1\]"):
            learner.adapt(bad, labels)
    with pytest.raises(ValueError, match="support_images are empty"):
        learner.adapt(images[:0], labels[:0])
    with pytest.raises(ValueError, match="support_images must be numbers, got string"):
        learner.adapt(images.astype(str), labels)
    bright = (images * 100).clip(0, 255).astype("uint8")
    query = x["query_images"][0]
    expected = learner.adapt(bright.astype("float32"), labels)(query)
    np.testing.assert_array_equal(learner.adapt(bright, labels)(query), expected)


def test_pictures_of_a_batch(row, make_learner, make_batch, compiled, values):
    """The same check of every part in a call and in `fit`, before a weight is changed."""
    x, y = make_batch(2)
    learner = compiled(make_learner())
    before = values(learner.variables)
    parts = [name for name in x if name != "support_labels"]
    bad = [("query_images", x["query_images"][:, :0], r"query_images are empty, got .*\(2, 0, 6")]
    for name in parts:
        shape = r"\[B, n, 7\]" if name == "descriptors" else r"\[B, n, 6, 6, 1\]"
        wide, message = x[name].repeat(2, -1), f"{name} must be of the shape {shape} that network"
        bad += [(name, wrong, message) for wrong in (wide, x[name][..., 0], x[name][0])]
        with pytest.raises(ValueError, match=message):
            learner.fit({**x, name: wide}, y, verbose=0)
        bad.append((name, np.full(x[name].shape, "a"), f"{name} must be numbers, got string"))
        bad.append((name, x[name][:1], r"must be of as many episodes.* got [12] and [12]\."))
    for name, wrong, message in bad:
        with pytest.raises(ValueError, match=message):
            learner({**x, name: tf.constant(wrong)})
    for name in x:
        lacking = {key: part for key, part in x.items() if key != name}
        message = rf"{type(learner).__name__}: a batch of episodes must have '{name}', got \["
        for use in (learner.predict_on_batch, lambda x: learner.train_on_batch(x, y)):
            with pytest.raises(ValueError, match=message):
                use(lacking)
    for use in (lambda x: learner.fit(x, y, verbose=0), lambda x: learner.predict(x, verbose=0)):
        with pytest.raises(ValueError, match="a batch of episodes must be a dict with '"):
            use(x["query_images"])
    if not row.described:
        for labels in (x["support_labels"][:1], x["support_labels"].repeat(2, 0)):
            with pytest.raises(ValueError, match=r"support_labels must be of as many episodes"):
                learner({**x, "support_labels": labels})
    _assert_untouched(learner, before, values)


def test_pictures_in_a_graph(row, make_learner, make_batch, compiled):
    """In one that knows the shapes, and in one that does not know them."""
    row.has_a_loop()
    x, y = make_batch(2)
    learner = compiled(with_one_step(make_learner()), run_eagerly=False)
    with pytest.raises(ValueError, match=r"query_images must be of the shape \[B, n, 6, 6, 1\]"):
        learner.fit({**x, "query_images": x["query_images"].repeat(2, -1)}, y, verbose=0)
    if row.num_classes is None:
        shapes = {
            name: tf.TensorSpec([None, None, *part.shape[2:]], part.dtype)
            for name, part in x.items()
        }
        compiled = tf.function(learner, input_signature=[shapes])
        np.testing.assert_allclose(compiled(x), learner(x), rtol=1e-4, atol=1e-5)


def test_pictures_of_every_type(row, make_learner, make_batch):
    x, _ = make_batch(2)
    learner = make_learner()
    parts = {name: part for name, part in x.items() if name != "support_labels"}
    bright = {name: (part * 100).clip(0, 255).astype("uint8") for name, part in parts.items()}
    expected = np.array(learner({**x, **{k: v.astype("float32") for k, v in bright.items()}}))
    for types in (("uint8", "uint8"), ("uint8", "float32"), ("float32", "int64")):
        typed = {k: v.astype(t) for (k, v), t in zip(bright.items(), types, strict=True)}
        np.testing.assert_array_equal(learner({**x, **typed}), expected)
    learner({**x, **typed}, training=True)


def _assert_untouched(learner, before, values):
    for old, new in zip(before, values(learner.variables), strict=True):
        np.testing.assert_array_equal(old, new)


def test_bad_query_labels(row, make_learner, make_batch, compiled, values):
    """Before a weight is changed; descriptions have no labels, but pictures to classify do."""
    x, y = make_batch(2)
    learner = compiled(make_learner())
    before = values(learner.variables)
    for bad, message in (
        (y + 1, r"0 to N-1, got \[1, 2, 3\]"),
        (y - 1, r"got \[-1, 0, 1\]"),
        (y.astype("float32"), "integers from 0 to N-1, got float32"),
        (y[:, :-1], r"each of the 6 query_images.*\(5,\)"),
    ):
        with pytest.raises(ValueError, match=f"query labels must .*{message}"):
            learner.train_on_batch(x, bad)
    with pytest.raises(ValueError, match=r"query labels must .* got \[1, 2, 3\]"):
        learner.fit(x, y + 1, verbose=0)
    _assert_untouched(learner, before, values)


def test_in_a_graph(row, make_learner, make_batch, compiled, values):
    """The same words, and weights and moving statistics as they were."""
    row.has_a_loop()
    x, y = make_batch(2)
    learner = compiled(with_one_step(make_learner()), run_eagerly=False)
    before = values(learner.variables)
    with pytest.raises(ValueError, match=r"query labels must be .*0 to N-1, got \[1, 2, 3\]\.$"):
        learner.fit(x, y + 1, verbose=0)
    with pytest.raises(ValueError, match=r"query labels must be .*0 to N-1, got \[1, 2, 3\]\.$"):
        learner.train_on_batch(x, y + 1)
    if not row.described:
        labels = x["support_labels"].copy()
        labels[1] *= 2
        wrong = {**x, "support_labels": labels}
        with pytest.raises(ValueError, match=r"support_labels must be .* got \[0, 1, 2, 4\]\.$"):
            learner.fit(tf.data.Dataset.from_tensors((wrong, y)), verbose=0)
        for look in (learner.evaluate, lambda x, y: learner.predict(x, verbose=0)):
            with pytest.raises(ValueError, match="support_labels must be"):
                look(wrong, y)
    _assert_untouched(learner, before, values)
    learner.fit(x, y, verbose=0)


def test_in_a_step_compiled_with_xla(row, make_learner, make_batch, values):
    """XLA drops assertions, so that the labels are looked at before."""
    row.promises("label checks")
    x, y = make_batch(2)
    learner = make_learner()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner.compile("adam", loss, jit_compile=True)
    before = values(learner.variables)
    wrong = {**x, "support_labels": x["support_labels"] + 1}
    for data, message in (
        ((x, y + 1), r"query labels must be .* got \[1, 2, 3\]"),
        ((wrong, y), r"support_labels must be .* got \[1, 2, 3\]"),
    ):
        with pytest.raises(ValueError, match=message):
            learner.fit(*data, verbose=0)
        with pytest.raises(ValueError, match=message):
            learner.train_on_batch(*data)
    with pytest.raises(ValueError, match="support_labels must be"):
        learner.predict(wrong, verbose=0)
    with pytest.raises(ValueError, match="a batch of episodes must be a dict with '"):
        learner.fit(x["query_images"], y)
    for form in (iter([(x, y)]), _Sequence(x, y)):
        for look in (learner.fit, learner.evaluate):
            with pytest.raises(ValueError, match=r"looked at before a step, .*not in a"):
                look(form)
    if row.name == "maml":  # The others' steps are traced alike.
        for data in ((wrong, y), tf.data.Dataset.from_tensors((wrong, y))):
            with pytest.raises(ValueError, match=r"support_labels must be .* got \[1, 2, 3\]"):
                learner.fit(x, y, validation_data=data, verbose=0)
        learner = make_learner()
        learner.compile("adam", loss, jit_compile=True)
        with pytest.raises(ValueError, match=r"support_labels must be .* got \[1, 2, 3\]"):
            learner.fit(tf.data.Dataset.from_tensors((wrong, y)), verbose=0)
    _assert_untouched(learner, before, values)
    if row.name == "maml":
        learner.fit(tf.data.Dataset.from_tensors((x, y)), verbose=0)


class _Sequence(keras.utils.PyDataset):
    def __init__(self, *batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.batch


@pytest.mark.parametrize("loss", [RelationLoss(), BalancedPairsLoss()])
def test_own_losses(make_learner, make_batch, values, loss):
    x, y = make_batch()
    learner = make_learner()
    learner.compile("sgd", loss, run_eagerly=True)
    expected = learner.test_on_batch(x, y)
    assert learner.test_on_batch(x, y[..., None]) == pytest.approx(expected, rel=1e-6)
    before = values(learner.variables)
    one_hot = np.eye(3, dtype="int32")[y[:, :3]]  # [B, Q, N] with B = 1 and Q = N
    with pytest.raises(ValueError, match=r"takes class numbers, and .* shape \(3, 3\) an episode"):
        learner.train_on_batch({**x, "query_images": x["query_images"][:, :3]}, one_hot)
    _assert_untouched(learner, before, values)
    x, y = make_batch(2, classes=1)
    assert np.isfinite(learner.train_on_batch(x, y))
    assert all(np.isfinite(value).all() for value in values(learner.variables))
