"""The recipe of zero-shot learning: classes are described, not shown."""

from meta_keras import learners, networks, plots
from meta_keras.data.descriptors import POINTS, load_described, zero_shot_episodes
from meta_keras.errors import SettingError
from meta_keras.recipes.classification import ClassificationRecipe
from meta_keras.recipes.episodic import EpisodeData
from meta_keras.recipes.settings import setting


class ZeroShot(ClassificationRecipe):
    """Prototypical network with class descriptors (Snell et al. 2017, section 2.7).

    https://arxiv.org/abs/1703.05175. Told how a character is written, the learner recognises
    drawings of it; the test's characters are of alphabets it has never seen. Chance is 1 / N.
    """

    name = "zero_shot"
    experiment = "zero_shot"
    method = "prototypical"
    split = "alphabets"
    unseen = "alphabets"

    train_episodes = 4000
    meta_batch = 1
    validation_interval = 500
    dataset: str = setting(
        "glyphs",
        "glyphs: built in, described by the character's stroke program. omniglot_strokes: "
        "Omniglot, described by the pen trajectory of one drawer; the drawings of others are "
        "classified.",
        choices=["glyphs", "omniglot_strokes"],
    )
    manual_dir: str | None = setting(
        None,
        "Folder with Omniglot's official strokes_background zip files, and with those of the "
        "pictures, images_background.zip and the others, if they are not to be downloaded.",
        decides=False,
    )
    strokes_dir: str | None = setting(
        None, "TFDS folder of the trajectories; `data_dir` by default.", decides=False
    )
    train_nway: int = setting(20, "Classes of a training episode.", at_least=2)
    units: int = setting(64, "D, size of an embedding.", at_least=1)

    def check(self):
        super().check()
        if max(self.nquery, self.test_nquery) > 19:
            raise SettingError(
                "`nquery` and `test_nquery` must be at most 19: one drawer of 20 describes the "
                "class."
            )

    def learner(self):
        return learners.ZeroShotPrototypicalNetwork(
            networks.conv4(self.units, filters=self.filters, momentum=0.9),
            networks.trajectory_network(self.units, POINTS),
        )

    def load_data(self, begun_with=None):
        described = load_described(
            self.dataset, self.data_dir, self.manual_dir, self.strokes_dir, self.rotations
        )
        for part, classes in described.items():
            name = "train_nway" if part == "train" else "nway"
            if getattr(self, name) > len(classes.drawings):
                raise SettingError(
                    f"{name}={getattr(self, name)} is more than the {len(classes.drawings)} "
                    f"classes of the {part} part of {self.dataset}."
                )
        return EpisodeData(described, self.dataset, None, self.train_nway, {})

    def draw(self, part, **stream):
        train = part == "train"
        return zero_shot_episodes(
            self.data.parts[part],
            self.train_nway if train else self.nway,
            self.nquery if train else self.test_nquery,
            **stream,
        )

    def picture(self, learner, batch):
        return plots.described_episode_picture(learner, batch)

    def default_logdir(self, eval_only=False):
        return f"runs/zero_shot-{self.dataset}-{self.nway}way"
