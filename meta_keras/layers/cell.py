"""The one protocol of this package: an optimizer is a recurrent cell."""

import keras
import tensorflow as tf

from meta_keras.layers.full_precision import full_precision


class Cell(keras.layers.Layer):
    """A recurrent cell whose state contains the parameters it optimizes.

    A cell sees `P` flat coordinates and never the network they belong to. Subclasses implement

        call(gradient, loss, parameters, state) -> (parameters, state)

    with `gradient` and `parameters` of shape `[P]`, `loss` a scalar and `state` any nest of
    tensors that starts as `initial_state(parameters)`. `call` is a pure function of its arguments
    and the cell's weights, so a run of it can be differentiated through. Weights are created by
    `build((P,))`; unless a subclass learns something per coordinate they do not depend on `P`.

    Args:
        dtype: float32 or float64, of the weights and of all the arithmetic, to which arguments are
            cast; the global policy by default. Under a mixed policy a cell is float32 throughout.
        **kwargs: `name` and `trainable`, as of every layer.

    Attributes:
        in_graph: whether the cell has run in a graph, which keeps the numbers it was made with.
        step_sizes: what a step takes at its peak, measured, in sizes of the state.

    Raises:
        SettingError: `dtype` is half precision; or a number such as a learning rate is set when the
            cell has run in a graph.
    """

    in_graph = False
    step_sizes = 3

    def __init__(self, *, dtype=None, **kwargs):
        super().__init__(dtype=full_precision(dtype, type(self).__name__), **kwargs)

    @property
    def dtype_policy(self):
        return super().dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, dtype):
        policy = full_precision(dtype, type(self).__name__)
        keras.layers.Layer.dtype_policy.fset(self, policy)

    def __call__(self, *args, **kwargs):
        vars(self)["in_graph"] = self.in_graph or tf.inside_function()
        return super().__call__(*args, **kwargs)

    def prepare(self, variables):
        """Tells the cell which variables its coordinates come from, in order, before it runs.

        Args:
            variables: list of objects with `shape` and `path`, such as Keras variables. Cells that
                treat all coordinates alike, as most do, need not know.
        """

    def build_once(self, size=None):
        """Creates the weights, unless they exist already.

        Args:
            size: P; None for cells whose weights do not depend on it.
        """
        if not self.built:
            self.build((size,))
            self.built = True

    def initial_state(self, parameters):
        """The state before the first step for `parameters` of shape `[P]`; none by default."""
        return ()

    def for_horizon(self, state, steps):
        """A first state for a run of `steps` steps, an integer scalar; 0 if that is not known.

        Cells that do not look at the time, as most, need not know.
        """
        return state

    def select(self, moved, after, before):
        """A state for coordinates of which some have not taken the step: theirs is `before`.

        Args:
            moved: bool `[P]`.
            after, before: states, of the same structure and shapes.

        Returns:
            A state like them. What belongs to all coordinates, so that its last axis is not P
            long, is that of `after`.
        """

        def leaf(new, old):
            return tf.where(moved, new, old) if new.shape[-1:] == moved.shape else new

        return tf.nest.map_structure(leaf, after, before)

    def observables(self, state):
        """What is worth watching in a state: dict from a name to `[P]`, for histograms."""
        return {}

    def call(self, gradient, loss, parameters, state):
        raise NotImplementedError(f"{type(self).__name__} must implement call().")
