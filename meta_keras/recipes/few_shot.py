"""What recipes of few-shot learners have in common: data, presets, training."""

import pathlib
from typing import ClassVar

import keras

from meta_keras import data, networks, plots, presets
from meta_keras.data.photograph_sets import PUBLISHED_SETS
from meta_keras.errors import PresetError, SettingError
from meta_keras.learners import EpisodicLearner
from meta_keras.recipes import few_shot_data
from meta_keras.recipes.classification import ClassificationRecipe
from meta_keras.recipes.pictures import NATURAL, by_pictures
from meta_keras.recipes.settings import setting, settings_of

# What was the only choice once: runs that began then do not tell of it.
CAME_LATER = {
    "pictures": "characters",
    "augment": "none",
    "image_size": None,
    "anil": False,
    "architecture": "conv4",
}


class FewShotRecipe(ClassificationRecipe):
    """A few-shot learner on small pictures: characters, or photographs in colour.

    Subclasses implement `new_learner`.

    Attributes:
        chosen_for_any_weights: settings that are attributes of the learner and may be chosen for a
            preset, too.
    """

    experiment = "few_shot"
    chosen_for_any_weights: ClassVar[tuple] = ()
    train_nway: ClassVar[int | None] = None
    tells_of_no_strategy = True

    kshot: int = setting(1, "K, support pictures a class (of a wave: points).", at_least=1)
    train_kshot: int | None = setting(
        None, "Support pictures a class in training; `kshot` if not given.", at_least=1
    )
    dataset: str = setting(
        "auto",
        "auto: omniglot if it is prepared or can be had within seconds, else the built-in glyphs. "
        "cifar_fs, fc100: CIFAR-100 with the published lists of classes. mini_imagenet: from files "
        "of your own in `manual_dir`. tfds:NAME: any image classification set of TFDS. folder: "
        "`data_dir` holds a folder of pictures for every class. sinusoid: regression on "
        "sine waves, for maml, fomaml, meta_sgd, reptile and lstm, with settings of its own.",
        choices=[
            "auto",
            "omniglot",
            "glyphs",
            "folder",
            "sinusoid",
            *NATURAL,
        ],
    )
    pictures: str = setting(
        "characters",
        "What a folder's pictures show: characters, ink on paper; or anything, in colour.",
        choices=["characters", "photographs"],
        cases=dict.fromkeys(NATURAL, "photographs"),
        case_of="dataset",
    )
    image_size: int | None = setting(
        None,
        "Side of the pictures in pixels; if not given, 28 of characters, 32 of cifar_fs and fc100, "
        "84 of other photographs.",
        at_least=16,
    )
    augment: str = setting(
        "none",
        "What training pictures undergo at random: shifts by up to an eighth of a side and mirror "
        "images; and other brightness, contrast and saturation.",
        choices=["none", "crop_flip", "crop_flip_colour"],
        cases={"photographs": "crop_flip"},
        case_of="pictures",
    )
    rotations = by_pictures(True, photographs=False)
    split: str = setting(
        "random",
        "Classes for training, validation and test: random 1100/100/423 characters, or 64/16/20 % "
        "of the classes of photographs; the lists of Vinyals et al. in `split_dir`; Lake's "
        "background and evaluation alphabets; the lists that were published with the data set; "
        "your own lists of the classes' names in `split_dir`.",
        choices=["random", "vinyals", "lake", "published", "lists"],
        cases=dict.fromkeys(PUBLISHED_SETS, "published"),
        case_of="dataset",
    )
    split_dir: str | None = setting(
        None,
        "Folder with train.txt, val.txt, test.txt, for split=vinyals and split=lists; the latter "
        "is the default of folder and tfds:NAME where this is given.",
    )
    manual_dir: str | None = setting(
        None,
        "Folder with Omniglot's official zip files, with the pictures of mini_imagenet, or with "
        "what tfds:NAME asks for.",
        decides=False,
    )
    preset: str | None = setting(
        None,
        "Start from this preset (a name or a folder), or from a run's best weights (its folder).",
    )
    mixed_precision: bool = setting(
        False, "Network in bfloat16, cell and weights in float32.", brought=True
    )
    meta_optimizer: str = setting(
        "adam",
        "Follows the meta-gradient. Reptile's own update is sgd with learning_rate=epsilon.",
        choices=["adam", "sgd"],
    )
    decay: bool = setting(True, "Cosine decay of the learning rate to 0 over the run.")
    clip_norm: float | None = setting(10.0, "Global norm of the meta-gradient at most.", above=0)

    def check(self):
        super().check()
        if self.dataset == "sinusoid":
            raise SettingError(
                "dataset=sinusoid has settings of its own: recipes.recipe(method, "
                "dataset='sinusoid'), or recipes.Sinusoid."
            )
        takes_lists = "lists" in few_shot_data.splits_of(self.dataset)
        if self.split_dir and takes_lists and "split" not in self.given:
            self._set("split", "lists")
        few_shot_data.check(self)
        if self.preset:
            for name in sorted(self.given):
                field, about = settings_of(self)[name]
                if about.brought:
                    raise SettingError(
                        f"{name}={getattr(self, field.name)} cannot be given with preset="
                        f"{self.preset}, which brings its own."
                    )

    @property
    def image_shape(self):
        """`(height, width, channels)` of the pictures."""
        if self.pictures == "characters":
            return (self.image_size or 28, self.image_size or 28, 1)
        published = PUBLISHED_SETS.get(self.dataset)
        size = self.image_size or (published.size if published else 84)
        return (size, size, 3)

    @property
    def normalization(self):
        """The `normalization` of networks for the pictures."""
        return networks.PHOTOGRAPHS if self.pictures == "photographs" else None

    @property
    def precision(self):
        """The dtype policy of networks."""
        return "mixed_bfloat16" if self.mixed_precision else "float32"

    def new_learner(self):
        """A new `EpisodicLearner` as the settings say."""
        raise NotImplementedError

    def learner(self):
        """A `Learner`, not compiled: a new one, or that of the preset.

        Raises:
            PresetError: there is no such preset, or it is damaged.
            SettingError: it is of another method, or for other classes or pictures.
        """
        if not self.preset:
            return self.new_learner()
        learner = EpisodicLearner.from_preset(self.preset)
        if learner.method != self.name:
            raise SettingError(
                f"preset={self.preset} is of method={learner.method}, not method={self.name}."
            )
        if learner.num_classes not in (None, self.nway):
            raise SettingError(
                f"preset={self.preset} is for {learner.num_classes} classes, not nway={self.nway}."
            )
        if learner.network.input_shape[1:] != self.image_shape:
            raise SettingError(
                f"preset={self.preset} is for pictures of shape {learner.network.input_shape[1:]}, "
                f"not {self.image_shape}, that of dataset={self.dataset} and image_size="
                f"{self.image_shape[0]}."
            )
        for name in self.chosen_for_any_weights:
            if name in self.given:
                setattr(learner, name, getattr(self, name))
        self._set("brought", {name: getattr(learner, name, None) for name in self._brought()})
        return learner

    def _brought(self):
        """Names of the settings that the learner of a preset decides."""
        about_all = settings_of(self).items()
        return [
            name
            for name, (_, about) in about_all
            if about.brought or about.fixed or name in self.chosen_for_any_weights
        ]

    def values(self, decides=None):
        """See `Settings.values`; of a preset what it is, None where it does not tell."""
        values = {"method": self.name, **super().values(decides)}
        if self.preset and "brought" not in vars(self):
            self.learner()
        values.update(vars(self).get("brought", {}))
        if self.train_nway and "data" in vars(self):
            values["train_nway"] = self.data.train_nway
        return values

    def identity(self):
        return {
            name: value
            for name, value in super().identity().items()
            if name not in CAME_LATER or value != CAME_LATER[name]
        }

    def optimizer(self, updates):
        rate = self.learning_rate
        if self.decay:
            rate = keras.optimizers.schedules.CosineDecay(rate, updates)
        optimizer = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}
        return optimizer[self.meta_optimizer](rate, global_clipnorm=self.clip_norm)

    def load_data(self, begun_with=None):
        return few_shot_data.load(self, begun_with)

    def shots(self, part):
        """K and Q of a part's episodes."""
        if part == "train":
            return self.train_kshot or self.kshot, self.nquery
        return self.kshot, self.test_nquery

    def draw(self, part, **stream):
        nway = self.data.train_nway if part == "train" else self.nway
        augment = self.augment if part == "train" else "none"
        return data.episodes(
            self.data.parts[part], nway, *self.shots(part), augment=augment, **stream
        )

    def picture(self, learner, batch):
        return plots.predicted_episode_picture(learner, batch)

    def default_logdir(self, eval_only=False):
        # Runs on characters are called as they were before there were photographs.
        data = f"-{self.dataset.replace(':', '-')}" if self.pictures == "photographs" else ""
        name = f"{self.name}{data}-{self.nway}way-{self.kshot}shot"
        if self.preset and eval_only:
            name += f"-{pathlib.Path(self.preset).name}"
        return f"runs/{name}"


def method_of_preset(preset, otherwise=None):
    """The name of the method of a preset.

    Args:
        preset: a name or a folder, of a run maybe.
        otherwise: the method if it is silent, as presets are that users once saved.

    Raises:
        PresetError: there is no such preset, its card is damaged, or the method is not known.
    """
    method = presets.preset_method(preset) or otherwise
    if not isinstance(method, str):
        raise PresetError(f"preset={preset}: its card does not name a `method`; name it yourself.")
    return method
