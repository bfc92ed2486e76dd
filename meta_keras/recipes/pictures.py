"""Characters and photographs: which data sets show what, and defaults that depend on it."""

from meta_keras.data.photograph_sets import PUBLISHED_SETS
from meta_keras.recipes.settings import Defaults

NATURAL = (*PUBLISHED_SETS, "tfds:NAME")  # data sets of photographs


def by_pictures(default, photographs):
    """A default for characters and another one for photographs, see `Defaults`."""
    return Defaults(default, "pictures", {"photographs": photographs})
