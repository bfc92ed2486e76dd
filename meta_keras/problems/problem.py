"""The contract of an optimizee."""


class Problem:
    """A family of functions to minimise, one for every seed.

    Subclasses set `size`, the number P of parameters, and implement two pure functions: the same
    arguments always give the same values, so a run can resume exactly and every optimizer starts
    at the same points and sees the same minibatches.

    Attributes:
        size: P.
        variables: the Keras variables that the parameters belong to, if there are any.
        second_order: whether second derivatives of the loss may be taken.
    """

    size: int
    variables = None
    second_order = True

    def initial_parameters(self, seed):
        """Where an optimization starts: float `[P]`, for an int64 scalar `seed`."""
        raise NotImplementedError

    def loss(self, parameters, seed, step):
        """Scalar loss of `parameters` `[P]` in optimization `seed` (int64) at `step` (int64).

        The parameters are of the cell's dtype, float32 or float64, and so is the loss.

        A stochastic problem draws a fresh minibatch for every `(seed, step)`.
        """
        raise NotImplementedError
