"""Matching networks: attention over the embedded support set."""

import keras
from keras import ops

from meta_keras.arguments import Argument, Part, positive, positive_integer
from meta_keras.learners.metric import MetricLearner, cosine_similarity


def log_attention(query, support, temperature=1.0):
    """log a(x, x_i), where a(x, x_i) = softmax_i(cos(f(x), g(x_i)) / temperature).

    Vinyals et al. 2016, section 2.1.1, where the temperature is 1.

    Args:
        query: f(x), `[..., Q, D]`.
        support: g(x_i), `[..., S, D]`.

    Returns:
        `[..., Q, S]`; its exponentials sum to 1 over the support.
    """
    return ops.log_softmax(cosine_similarity(query, support) / temperature, axis=-1)


def log_class_probabilities(log_a, members):
    """log sum_i a(x, x_i) y_i: the attention each class gets (equation 1).

    Args:
        log_a: `[..., Q, S]`.
        members: y_i, one-hot labels `[..., S, N]`.

    Returns:
        `[..., Q, N]`.
    """
    # exp(-1e9) is 0: a sum over the members alone, in logarithms, so that it never underflows.
    others = ops.expand_dims(-1e9 * (1.0 - members), -3)
    return ops.logsumexp(ops.expand_dims(log_a, -1) + others, axis=-2)


def read_support(cell, query, support, steps):
    """f(x, S): the query's embedding after `steps` looks at the support (appendix A.1).

        r_{k-1} = sum_i softmax_i(h_{k-1} . g(x_i)) g(x_i)
        h'_k, c_k = LSTM(f'(x), [h_{k-1}, r_{k-1}], c_{k-1})
        h_k = h'_k + f'(x)                                          h_0 = c_0 = 0

    Args:
        cell: a Keras LSTM cell of D units over 2 D inputs. What it reads, r, stands beside the
            input, where it has its own weights as well as beside h.
        query: f'(x), `[B, Q, D]`.
        support: g(x_i), `[B, S, D]`.
        steps: K.

    Returns:
        h_K, `[B, Q, D]`.
    """
    batch, size = ops.shape(query)[0], query.shape[-1]
    x = ops.reshape(query, (-1, size))
    h = c = ops.zeros_like(x)
    for _ in range(steps):
        looks = ops.reshape(h, (batch, -1, size))
        a = ops.softmax(ops.matmul(looks, ops.swapaxes(support, -1, -2)), axis=-1)
        r = ops.reshape(ops.matmul(a, support), (-1, size))
        h, (_, c) = cell(ops.concatenate([x, r], axis=-1), [h, c])
        h = h + x
    return ops.reshape(h, (batch, -1, size))


@keras.saving.register_keras_serializable(package="meta_keras")
class MatchingNetwork(MetricLearner):
    """Classifies by attention over the support pictures.

        p(y = n | x) = sum of a(x, x_i) over the pictures of class n
        a(x, x_i) = softmax_i(cos(f(x), g(x_i)) / temperature)

    The logits are the logarithms of these probabilities, so that the usual cross-entropy from
    logits is the paper's loss.

    Oriol Vinyals, Charles Blundell, Timothy Lillicrap, Koray Kavukcuoglu and Daan Wierstra,
    "Matching networks for one shot learning", NeurIPS 2016, https://arxiv.org/abs/1606.04080

    Args:
        embedding: a built `keras.Model` from images to vectors, which is both f' and g'.
        temperature: 1 in the paper; a lower one, about 0.1, learns much faster. Towards 0 the
            learner becomes nearest neighbour by cosine.
        full_context: full-context embeddings (appendix A). g adds to g' the outputs of a
            bidirectional LSTM over the support set, in the order given; f is `read_support`, an
            LSTM that attends to the support set. False: f = f', g = g'.
        read_steps: K, looks of a query picture at the support; for `full_context` only.

    Call arguments and shapes: see `EpisodicLearner`.

    Raises:
        ValueError: `embedding` is not built, or another argument is out of range; or full context
            is asked for with an embedding network that does not tell its size.

    Example:

    >>> from meta_keras.networks import conv4_embedding
    >>> learner = MatchingNetwork(conv4_embedding(), temperature=0.1)
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> learner.compile("adam", loss, metrics=["accuracy"])
    """

    method = "matching"
    temperature = Argument(positive)
    full_context = Part()
    read_steps = Argument(positive_integer())

    def __init__(self, embedding, temperature=1.0, full_context=False, read_steps=5, **kwargs):
        super().__init__(embedding, **kwargs)
        self.temperature = temperature
        self.full_context = bool(full_context)
        self.read_steps = read_steps
        if full_context:
            # The seeds are for dropout, which there is none of: nothing is left to chance.
            size, options = self.embedding_size(), {"dtype": self.dtype_policy, "seed": 0}
            lstm = keras.layers.LSTM(size, return_sequences=True, **options)
            self.support_lstm = keras.layers.Bidirectional(
                lstm, merge_mode="sum", dtype=self.dtype_policy
            )
            self.support_lstm.build((None, None, size))
            self.query_cell = keras.layers.LSTMCell(size, **options)
            self.query_cell.build((None, 2 * size))

    def compare(self, support, members, query, training=False):
        if self.full_context:
            support = self.support_lstm(support) + support
            query = read_support(self.query_cell, query, support, self.read_steps)
        return log_class_probabilities(log_attention(query, support, self.temperature), members)

    def get_config(self):
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "full_context": self.full_context,
            "read_steps": self.read_steps,
        }
