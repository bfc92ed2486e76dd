"""When to say "none of these": a threshold that the examples themselves choose."""

import numpy as np

from meta_keras.learners import PrototypicalNetwork, SimpleShot

SINGLE = 0.8  # Where examples are single: the share of strangers that is to be rejected.


def check_rejecting(learner):
    """Makes sure that a learner's logit of a class does not depend on the other classes.

    Raises:
        ValueError: it does.
    """
    if not isinstance(learner, PrototypicalNetwork | SimpleShot):
        raise ValueError(
            f"{type(learner).__name__} cannot reject, which goes by distances to the means of "
            "classes: take a PrototypicalNetwork, or a SimpleShot with centre='none' or 'base'."
        )
    if isinstance(learner, SimpleShot) and learner.centre == "support":
        raise ValueError(
            "SimpleShot with centre='support' cannot reject: its centre moves with the classes, so "
            "that no logit is the same once one is left out; take centre='none' or 'base'."
        )


def leave_one_out(learner, images, labels):
    """How well examples fit classes that do not hold them: their highest logits.

        known_i    = max_n z_n(x_i)  of the classes without example i, where its class has others
        stranger_i = max_n z_n(x_i)  of the classes without that of example i

    An example that was left out is a picture of a class that is there; one whose class was left out
    is a picture of none. Every logit z_n goes by the mean c_n of class n alone, and no mean has to
    be taken anew but that of the example's own class y, of K examples f(x):

        c_y without i = (K c_y - f(x_i)) / (K - 1)

    Args:
        learner: a `PrototypicalNetwork`, or a `SimpleShot` whose centre does not move with the
            classes, `"none"` or `"base"`.
        images: `[m, ...]`, as its network takes them.
        labels: int `[m]`, in [0, N).

    Returns:
        `(known, stranger)`: float64 `[k]`, k the number of examples whose class has others; float64
        `[m]`.

    Raises:
        ValueError: the learner is another; there are fewer than two classes; or labels or pictures
            do not fit the learner.
    """
    check_rejecting(learner)
    images, labels = learner.checked_support_set(images, labels)
    labels = np.array(labels)
    members = labels[:, None] == np.arange(labels.max() + 1)
    if members.shape[1] < 2:
        raise ValueError("labels must be of 2 classes at least: of one, none can be left out.")
    x = _compared(learner, np.float64(learner.embed(images)))
    size = members.sum(axis=0)
    means = members.T @ x / size[:, None]
    logits = _logits(learner, x, means)
    stranger = np.where(members, -np.inf, logits).max(axis=1)
    several = size[labels] > 1
    x, labels, count = x[several], labels[several], size[labels[several], None]
    without = (count * means[labels] - x) / (count - 1)
    own = _logits(learner, x[:, None], without[:, None])[:, 0, 0]
    return np.maximum(own, stranger[several]), stranger


def _compared(learner, x):
    """What the learner takes the means of, of its embeddings `[m, D]`."""
    if isinstance(learner, SimpleShot):
        return _unit(x - (np.float64(learner.base_mean) if learner.centre == "base" else 0))
    return x


def _logits(learner, x, means):
    """`[..., I, D], [..., J, D] -> [..., I, J]`."""
    if getattr(learner, "distance", "euclidean") == "cosine":
        return _unit(x) @ np.swapaxes(_unit(means), -1, -2) / learner.temperature
    square_x, square_means = (np.square(part).sum(axis=-1) for part in (x, means))
    products = x @ np.swapaxes(means, -1, -2)
    return (2 * products - square_x[..., None] - square_means[..., None, :]) / learner.temperature


def _unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


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
    accepted = 1 - np.searchsorted(np.sort(known), candidates) / len(known)
    rejected = np.searchsorted(np.sort(strangers), candidates) / len(strangers)
    best = np.flatnonzero(accepted + rejected >= (accepted + rejected).max() - 1e-9)
    return float(candidates[best[len(best) // 2]])


def rejection_rates(threshold, known, strangers):
    """How often a threshold is right about examples that were left out.

    Where it was chosen by the same examples, that is somewhat too good to be true.

    Args:
        threshold: a logit.
        known, strangers: highest logits, as from `leave_one_out`.

    Returns:
        A dict: `"known"` and `"strangers"`, how many there are; `"known_accepted"` and
        `"strangers_rejected"`, floats, the shares of them that are; None of none.
    """
    return {
        "known": len(known),
        "known_accepted": float(np.mean(known >= threshold)) if len(known) else None,
        "strangers": len(strangers),
        "strangers_rejected": float(np.mean(strangers < threshold)),
    }
