"""What hand-made optimizers have in common: the baselines a learned optimizer must beat."""

from meta_keras.arguments import Constant, positive
from meta_keras.layers.cell import Cell


class FixedRateCell(Cell):
    """A cell with a fixed learning rate and no weights.

    Args:
        learning_rate: positive float, the step size alpha.

    Raises:
        ValueError: `learning_rate` is not positive, or is set too late, see `Cell`.
    """

    learning_rate = Constant(positive)

    def __init__(self, learning_rate=0.01, **kwargs):
        super().__init__(**kwargs)
        self.learning_rate = learning_rate

    def get_config(self):
        return {**super().get_config(), "learning_rate": self.learning_rate}
