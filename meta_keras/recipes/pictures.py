"""Characters and photographs: which data sets show what, and defaults that depend on it."""

from meta_keras.recipes.settings import Defaults

NATURAL = ("cifar_fs", "fc100", "mini_imagenet", "tfds:NAME")  # data sets of photographs


def by_pictures(default, photographs):
    """A default for characters and another one for photographs, see `Defaults`."""
    return Defaults(default, "pictures", {"photographs": photographs})
