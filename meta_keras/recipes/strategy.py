"""The setting of who shares the work of an update."""

from meta_keras.errors import SettingError
from meta_keras.recipes.settings import setting


def strategy_setting():
    """The field `strategy`."""
    return setting(
        "none",
        "Who shares the work of an update (tf.distribute): mirrored: all GPUs of this machine; "
        "multi_worker: the workers of the cluster in TF_CONFIG, each started with this command.",
        choices=["none", "mirrored", "multi_worker"],
    )


def check_strategy(recipe):
    """Raises `SettingError` if a recipe has a strategy and XLA, which go not together."""
    if recipe.jit_compile and recipe.strategy != "none":
        raise SettingError(
            f"jit_compile=True cannot be had with strategy={recipe.strategy}, whose sums are not "
            "for XLA."
        )
