"""When to say "none of these": a threshold that the examples themselves choose."""

import numpy as np
import tensorflow as tf

from meta_keras.learners import PrototypicalNetwork, SimpleShot

SINGLE = 0.8  # Where examples are single: the share of strangers that is to be rejected.


def leave_one_out(learner, images, labels):
    """How well examples fit classes that do not hold them: their highest logits.

        known_i    = max_n z_n(x_i)  of the classes without example i, where its class has others
        stranger_i = max_n z_n(x_i)  of the classes without that of example i

    An example that was left out is a picture of a class that is there; one whose class was left out
    is a picture of none.

    Args:
        learner: a `PrototypicalNetwork` or `SimpleShot`, whose logit z_n is minus the distance to
            the mean of class n, whatever the other classes are.
        images: `[m, ...]`, as its network takes them.
        labels: int `[m]`, in [0, N).

    Returns:
        `(known, stranger)`: float64 `[k]`, k the number of examples whose class has others; float64
        `[m]`.

    Raises:
        ValueError: the learner is another; or there are fewer than two classes.
    """
    if not isinstance(learner, PrototypicalNetwork | SimpleShot):
        raise ValueError(
            f"{type(learner).__name__} cannot reject, which goes by distances to the means of "
            "classes: take a PrototypicalNetwork or SimpleShot."
        )
    labels = np.asarray(labels)
    members = np.float32(labels[:, None] == np.arange(labels.max() + 1))
    if members.shape[1] < 2:
        raise ValueError("labels must be of 2 classes at least: of one, none can be left out.")
    embeddings = learner.embed(tf.convert_to_tensor(images))
    everyone = learner.compare(embeddings[None], tf.constant(members[None]), embeddings[None])[0]
    strangers = np.where(members, -np.inf, everyone).max(axis=1)
    known = []
    for example in np.flatnonzero(members.sum(axis=0)[labels] > 1):
        others = np.arange(len(labels)) != example
        logits = learner.compare(
            embeddings[others][None],
            tf.constant(members[others][None]),
            embeddings[None, example : example + 1],
        )
        known.append(float(tf.reduce_max(logits)))
    return np.array(known), np.float64(strangers)


def rejection_threshold(known, strangers):
    """The logit below which a picture is of none of the classes.

    It maximises the sum of the share of the known that are accepted and that of strangers that are
    rejected (the index of Youden 1950),

        t = argmax_t  mean_i [known_i >= t] + mean_i [stranger_i < t]

    in the middle of the values that are equally good. Where every class has a single example,
    nothing is known of the known: t is the logit that 8 of 10 strangers do not reach.

    Args:
        known, strangers: highest logits, as from `leave_one_out`.

    Returns:
        A float.
    """
    if not len(known):
        return float(np.quantile(strangers, SINGLE))
    values = np.unique(np.concatenate([known, strangers]))
    candidates = (values[1:] + values[:-1]) / 2 if len(values) > 1 else values
    accepted = (known[:, None] >= candidates).mean(axis=0)
    rejected = (strangers[:, None] < candidates).mean(axis=0)
    best = np.flatnonzero(accepted + rejected >= (accepted + rejected).max() - 1e-9)
    return float(candidates[best[len(best) // 2]])
