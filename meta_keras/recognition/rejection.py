"""When to say "none of these": a threshold that the examples themselves choose."""

import numpy as np
import tensorflow as tf

from meta_keras.learners import MetricLearner

SINGLE = 0.9  # With single examples: the share of strangers among them that is to be rejected.


def leave_one_out(learner, images, labels):
    """How well examples fit the classes without them: their highest logits.

        known_i    = max_n z_n(x_i; S without example i)       where its class has others
        stranger_i = max_n z_n(x_i; S without the class of i)

    An example that was left out is a picture of a class that is there; one whose class was left out
    is a picture of none.

    Args:
        learner: a `MetricLearner`.
        images: `[m, ...]`, as its network takes them.
        labels: int `[m]`, in [0, N).

    Returns:
        `(known, stranger)`: float64 `[k]`, k the number of examples whose class has others; float64
        `[m]`.

    Raises:
        ValueError: the learner compares no embeddings, or tells an exact number of classes apart;
            or there are fewer than two classes.
    """
    if not isinstance(learner, MetricLearner) or learner.num_classes is not None:
        raise ValueError(
            f"{type(learner).__name__} cannot reject: leaving out examples is for learners that "
            "compare embeddings, of any number of classes."
        )
    labels = np.asarray(labels)
    if len(np.unique(labels)) < 2:
        raise ValueError("labels must be of 2 classes at least: of one, none can be left out.")
    embeddings = learner.embed(tf.convert_to_tensor(images))

    def highest_logit(example, kept):
        classes, places = np.unique(labels[kept], return_inverse=True)
        members = tf.one_hot(places, len(classes), dtype=embeddings.dtype)
        query = embeddings[None, example : example + 1]
        logits = learner.compare(embeddings[kept][None], members[None], query)
        return float(tf.reduce_max(logits))

    everyone = np.arange(len(labels))
    known = [
        highest_logit(example, everyone != example)
        for example in everyone
        if np.sum(labels == labels[example]) > 1
    ]
    strangers = [highest_logit(example, labels != labels[example]) for example in everyone]
    return np.array(known), np.array(strangers)


def rejection_threshold(known, strangers):
    """The logit below which a picture is of none of the classes.

    It maximises the sum of the share of the known that are accepted and the share of strangers that
    are rejected ([Youden 1950](https://doi.org/10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3)),

        t = argmax_t  mean_i [known_i >= t] + mean_i [stranger_i < t]

    in the middle of the values that are equally good. Where every class has a single example,
    nothing is known of the known: t is the logit that 9 of 10 strangers do not reach.

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
