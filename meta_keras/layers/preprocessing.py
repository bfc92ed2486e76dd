"""What a learned optimizer's cell sees of a gradient."""

import keras


class Preprocessing:
    """What a coordinatewise cell sees of a gradient; a state goes in and out with every step.

    Subclasses set `num_features` and implement `step`, and `initial_state` if they remember
    anything. They are registered with Keras and give their arguments in `get_config`.

    Attributes:
        num_features: F.
        keeps_mean: whether `step` gives a running mean of the gradient.
        bounded: whether the features know no scale, so that the output of a network that reads
            them belongs into a tanh (Lv et al. 2017, section 4.2).

    Its numbers, such as `LogAndSign.p`, may be set until it has run in a graph, which keeps those
    it was made with, as those of a `Cell`.
    """

    num_features: int
    keeps_mean = False
    bounded = False

    def initial_state(self, parameters):
        """The state before the first step for `parameters` of shape `[P]`; none by default."""
        return ()

    def step(self, gradient, state):
        """Reads the next gradient.

        Args:
            gradient: float `[P]`.
            state: what `initial_state` or the step before gave.

        Returns:
            `(features [F, P], mean [P], state)`; the mean is None unless `keeps_mean`.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement step().")

    def __call__(self, gradient, state):
        """`step` without the mean: `(features [F, P], state)`."""
        features, _, state = self.step(gradient, state)
        return features, state

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="meta_keras")
class RawGradient(Preprocessing):
    """The gradient itself, as Andrychowicz et al. 2016 use it on quadratics. F = 1."""

    num_features = 1

    def step(self, gradient, state):
        return gradient[None], None, state
