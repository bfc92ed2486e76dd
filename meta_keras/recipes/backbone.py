"""What a frozen backbone reaches without training: simple heads on its features, side by side."""

import pathlib

import keras
import numpy as np

from meta_keras import data, files, metrics, networks
from meta_keras.data.episodes import choose
from meta_keras.data.photograph_sets import PUBLISHED_SETS
from meta_keras.errors import BackboneError, SettingError
from meta_keras.learners import R2D2, PrototypicalNetwork, SimpleShot
from meta_keras.learners.r2d2 import FROZEN_RIDGE
from meta_keras.recipes.pictures import NATURAL
from meta_keras.recipes.settings import Settings, setting
from meta_keras.training import run_folder, terminal
from meta_keras.training.feature_cache import FeatureCache
from meta_keras.training.tables import print_table


class BackboneTest(Settings):
    """Tests heads on a frozen backbone's features: nearest mean, SimpleShot, ridge regression.

    All heads see the same draws of classes and pictures, and for every K the same query pictures.
    Nothing is trained, so that all classes of a folder are for the test; of other data sets those
    of the test part.

    https://arxiv.org/abs/1911.04623, https://arxiv.org/abs/1805.08136
    """

    backbone: str | None = setting(
        None,
        "A .keras file from pixels 0..255 to features, or a name of keras.applications, whose "
        "ImageNet weights Keras downloads once.",
    )
    mirror: bool = setting(
        True, "Features are the mean of those of a picture and of its mirror image."
    )
    dataset: str = setting(
        "folder",
        "folder: `data_dir` holds a folder of photographs for every class. Others: the classes "
        "of the test part.",
        choices=["folder", *NATURAL],
    )
    data_dir: str | None = setting(
        None, "The folder with the class folders; or TFDS folder, TFDS' own if not given."
    )
    manual_dir: str | None = setting(None, "Folder with the pictures of mini_imagenet.")
    split_dir: str | None = setting(
        None,
        "Folder with train.txt, val.txt, test.txt, a class's name a line, for tfds:NAME: the test "
        "part's classes are used.",
    )
    per_class: int | None = setting(
        None, "Use this many pictures of a class, the first ones; all if not given.", at_least=2
    )
    nway: int | None = setting(None, "N, classes of a draw; all classes if not given.", at_least=2)
    kshot: tuple = setting((1, 5), "K, support pictures a class; several with commas between.")
    test_nquery: int = setting(15, "Query pictures a class.", at_least=1)
    test_episodes: int = setting(200, "Random draws.", at_least=2)
    ridge: float = setting(
        FROZEN_RIDGE,
        "lambda of ridge regression on features of length 1; 0.5 is the best on the validation "
        "classes of CIFAR-FS.",
        above=0,
    )
    seed: int = setting(0, "Seed of the draws.", at_least=0, at_most=2**32 - 1)

    def check(self):
        if not self.backbone:
            raise SettingError("name a `backbone`: a .keras file or a name of keras.applications.")
        if self.dataset == "folder" and not self.data_dir:
            raise SettingError(
                "dataset=folder needs `data_dir`, the folder with the class folders."
            )
        if self.manual_dir and self.dataset == "folder":
            raise SettingError(
                f"manual_dir={self.manual_dir} does not go with dataset=folder, which has no such "
                "files."
            )
        if self.split_dir and not self.dataset.startswith("tfds:"):
            raise SettingError(
                f"split_dir={self.split_dir} does not go with dataset={self.dataset}, only with "
                "tfds:NAME."
            )
        if self.per_class is not None and self.per_class < self.pictures:
            raise SettingError(
                f"per_class={self.per_class} must be at least kshot={max(self.kshot)} plus "
                f"test_nquery={self.test_nquery}."
            )

    @property
    def pictures(self):
        """Pictures of a class that a draw takes."""
        return max(self.kshot) + self.test_nquery

    def heads(self, size):
        """Dict from a name to a learner on features `[batch, size]`."""
        features = keras.Input((size,), name="features")
        same = keras.Model(features, keras.layers.Identity()(features), name="features")
        return {
            "nearest mean": PrototypicalNetwork(same),
            "SimpleShot": SimpleShot(same),
            "ridge": R2D2(same, ridge=self.ridge, unit=True),
        }

    def load(self):
        """`(features, places)`: features `[n, D]`, and the numbers of every class's, see
        `data.ImageClasses`.

        Raises:
            BackboneError, DatasetError, SettingError: one of them cannot be had.
        """
        published = PUBLISHED_SETS.get(self.dataset)
        shape = (32, 32, 3) if published and published.size == 32 else None
        backbone = networks.load_backbone(self.backbone, shape, self.mirror)
        _, height, width, channels = backbone.input_shape
        if height != width or channels != 3:
            raise BackboneError(
                f"backbone={self.backbone} takes pictures of {height}x{width}x{channels}, and "
                "photographs are squares of 3 channels here."
            )
        because = f"= kshot={max(self.kshot)} + test_nquery={self.test_nquery}"
        if self.dataset == "folder":
            classes = data.load_photograph_folder(self.data_dir, height, self.pictures, because)
        else:
            classes = data.load_photographs(self.dataset, self.data_dir, self.manual_dir, height)
            classes = data.large_enough(classes, self.dataset, self.pictures, because)
            protocol = "published" if published else "random"
            protocol = "lists" if self.split_dir else protocol
            split = data.split_named(self.dataset, classes.names, protocol, self.split_dir)
            classes = classes.part(split["test"])
        if self.nway and self.nway > len(classes):
            raise SettingError(
                f"nway={self.nway} is more than the {len(classes)} classes there are."
            )
        places = classes.places[:, : self.per_class]
        used = places[places >= 0]
        with FeatureCache(self.backbone, backbone, f"mirror={self.mirror}") as cache:
            features = cache(classes.images[used])
        numbers = np.full(places.shape, -1, np.int32)
        numbers[places >= 0] = np.arange(len(used))
        return features, numbers

    def accuracies(self):
        """Dict from `(head, K)` to the accuracy of every draw, float64 `[test_episodes]`."""
        features, places = self.load()
        nway = self.nway or len(places)
        heads = self.heads(features.shape[1])
        found = {(name, kshot): [] for kshot in self.kshot for name in heads}
        labels = np.arange(nway, dtype=np.int32)
        for index in range(self.test_episodes):
            _, chosen = choose(places, np.int64(self.seed), np.int64(index), nway, self.pictures)
            drawn = features[chosen.numpy()]
            answers = labels.repeat(self.test_nquery)[None]
            for name, kshot in found:
                logits = heads[name](
                    {
                        "support_images": _flat(drawn[:, :kshot]),
                        "support_labels": labels.repeat(kshot)[None],
                        "query_images": _flat(drawn[:, max(self.kshot) :]),
                    }
                )
                found[name, kshot] += list(metrics.episode_accuracies(answers, logits))
        return {key: np.array(values) for key, values in found.items()}

    def fit(self, logdir=None, verbose=True):
        """Tests, prints a table and leaves `results.json` in a folder.

        Args:
            logdir: the folder; one under `runs/` by default.
            verbose: whether to print.

        Returns:
            The content of `results.json`, a dict.
        """
        default = f"runs/backbone-{pathlib.Path(self.backbone).stem}-{self.dataset}"
        default += f"-{self.nway}way" if self.nway else ""
        folder = files.writable_folder("logdir", logdir or default.replace(":", "-"))
        run_folder.refuse_other_results(folder, "backbone", self.values())
        rows = [
            {"method": name, "kshot": kshot, "test_accuracy": mean, "test_ci95": ci95}
            for (name, kshot), values in self.accuracies().items()
            for mean, ci95 in [metrics.mean_and_ci95(values)]
        ]
        results = {
            "experiment": "backbone",
            "dataset": self.dataset,
            "heads": rows,
            "test_episodes": self.test_episodes,
            "versions": files.versions(),
            "flags": self.values(),
        }
        files.write_json(folder / "results.json", results)
        if verbose:
            print_table(
                ["head", *(f"{kshot}-shot, %" for kshot in self.kshot)],
                [
                    [name, *(_percent(row) for row in rows if row["method"] == name)]
                    for name in dict.fromkeys(row["method"] for row in rows)
                ],
            )
            terminal.say(f"Results: {folder / 'results.json'}")
        return results


def _flat(part):
    return part.reshape(1, -1, part.shape[-1])


def _percent(row):
    return f"{row['test_accuracy']:.1%} +- {row['test_ci95']:.1%}".replace("%", "")
