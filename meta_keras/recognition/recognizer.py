"""Examples and pictures in, probabilities out."""

import keras
import numpy as np
import tensorflow as tf

from meta_keras.recognition.rejection import (
    check_rejecting,
    leave_one_out,
    rejection_rates,
    rejection_threshold,
)


class Recognizer:
    """Tells classes apart, from one or a few examples of each.

        p(n | x) = softmax_n(z(x)),   z the logits of the learner's classifier of the examples

    With `reject` there is a further answer, "none of these", whose logit is the same for every
    picture: it is given where no class has a logit above the threshold that leaving out examples
    has shown to be best (`rejection_threshold`).

    A transductive classifier normalises with the statistics of its batch. Every picture gets a
    batch with the examples: alone it would not do, and with other pictures its answer would depend
    on which those are.

    Args:
        learner: an `EpisodicLearner`.
        images: float32 `[m, ...]`, the examples, as the learner's network takes them.
        labels: int `[m]`, the number of each one's class, in [0, N).
        reject: whether to answer "none of these", as class N, where nothing fits.

    Attributes:
        threshold: with `reject`, that logit, a float; else None.
        left_out: with `reject`, how often it is right about examples that were left out, see
            `rejection_rates`; else None.

    Raises:
        ValueError: labels or pictures do not fit the learner; or `reject`, and the learner does
            not go by distances to means that stay where others are left out, see `leave_one_out`.

    Example:

    >>> import numpy as np
    >>> from meta_keras import EpisodicLearner
    >>> learner = EpisodicLearner.from_preset("prototypical_omniglot")
    >>> examples = np.random.default_rng(0).random((2, 28, 28, 1), np.float32)
    >>> Recognizer(learner, examples, [0, 1])(examples).argmax(axis=1).tolist()
    [0, 1]
    """

    def __init__(self, learner, images, labels, reject=False):
        if reject:
            check_rejecting(learner)
        self.learner = learner
        self.classifier = learner.adapt(images, labels)
        # Traced once for all calls.
        self._answer = tf.function(
            lambda image: self.classifier(tf.concat([image[None], images], axis=0))[0]
        )
        self.threshold = self.left_out = None
        if reject:
            logits = leave_one_out(learner, images, labels)
            self.threshold = rejection_threshold(*logits)
            self.left_out = rejection_rates(self.threshold, *logits)

    def __call__(self, images):
        """Probabilities of pictures, each independent of the others.

        Args:
            images: float32 `[n, ...]`, as the learner's network takes them.

        Returns:
            float64 `[n, N]`; with `reject` `[n, N + 1]`.
        """
        if self.learner.is_transductive():
            logits = np.array([self._answer(image) for image in tf.constant(images)])
        else:
            logits = self.classifier.predict(images, batch_size=256, verbose=0)
        if self.threshold is not None:
            logits = np.pad(logits, [(0, 0), (0, 1)], constant_values=self.threshold)
        return tf.nn.softmax(np.float64(logits)).numpy()

    def model(self, network=None):
        """This recognizer as an ordinary Keras model, which needs this package no more.

        Args:
            network: `keras.Model` from pictures to what the classifier takes; None where that is
                pictures.

        Returns:
            A `keras.Model`, pictures to probabilities as of a call.

        Raises:
            ValueError: the learner is transductive: its classifier does not answer for a picture
                alone.
        """
        if self.learner.is_transductive():
            raise ValueError(
                f"{type(self.learner).__name__} is transductive: its classifier answers for a "
                "batch with the examples in it, not for a picture alone."
            )
        seen_by = network or self.classifier
        inputs = keras.Input(seen_by.input_shape[1:], name="image")
        logits = self.classifier(network(inputs) if network else inputs)
        if self.threshold is not None:
            nothing = keras.layers.Rescaling(0.0, self.threshold, name="none_of_these")
            logits = keras.layers.Concatenate()([logits, nothing(logits[:, :1])])
        probabilities = keras.layers.Softmax(name="probabilities")(logits)
        return keras.Model(inputs, probabilities, name="classifier")


def predict(learner, support_images, support_labels, query_images):
    """`Recognizer(learner, support_images, support_labels)(query_images)`: float64 `[n, N]`."""
    return Recognizer(learner, support_images, support_labels)(query_images)
