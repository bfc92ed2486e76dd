"""Pictures of episodes, predictions and results: the only place that imports matplotlib.

`import meta_keras` does not import it; `from meta_keras import plots` does.
"""

from meta_keras.plots.comparison import comparison_figure
from meta_keras.plots.contact_sheet import contact_sheet
from meta_keras.plots.episodes import (
    described_episode_picture,
    episode_picture,
    predicted_episode_picture,
)
from meta_keras.plots.figures import figure_pixels, save_figure
from meta_keras.plots.loss_curves import loss_curves_figure, loss_curves_panels
from meta_keras.plots.regression import errors_figure, regression_picture
from meta_keras.plots.suite import suite_figure

__all__ = [
    "comparison_figure",
    "contact_sheet",
    "described_episode_picture",
    "episode_picture",
    "errors_figure",
    "figure_pixels",
    "loss_curves_figure",
    "loss_curves_panels",
    "predicted_episode_picture",
    "regression_picture",
    "save_figure",
    "suite_figure",
]
