"""What recipes of classification from episodes have in common."""

from typing import ClassVar

import keras

from meta_keras import metrics
from meta_keras.recipes.episodic import EpisodicRecipe
from meta_keras.recipes.settings import setting
from meta_keras.training import summaries


class ClassificationRecipe(EpisodicRecipe):
    """A method that tells N classes apart, trained and tested on episodes.

    Subclasses implement `learner`, `load_data`, `draw` and `picture`.
    """

    unseen: ClassVar[str] = "classes"
    kshot: ClassVar[int] = 0

    nway: int = setting(5, "N, classes of an episode.", at_least=2)
    nquery: int = setting(
        5, "Q, query pictures a class (of a wave: points) in training.", at_least=1
    )
    test_nquery: int = setting(
        15, "Query pictures a class (of a wave: points) in validation and test.", at_least=1
    )
    rotations: bool = setting(
        True,
        "Rotations by 90, 180 and 270 degrees are further classes; in zero-shot learning, and in "
        "a folder of one's own, only in training.",
    )
    data_dir: str | None = setting(
        None, "TFDS folder; TFDS' own if not given. Few-shot: or the class folders.", decides=False
    )
    filters: int = setting(32, "Filters of every convolution.", at_least=1, brought=True)

    def loss(self):
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def test(self, learner, folder, seen, say):
        accuracy, ci95 = metrics.mean_and_ci95(
            metrics.evaluate_episodes(learner, self.episodes("test"))
        )
        mode = "transductive" if learner.is_transductive() else "inductive"
        say(
            f"Test accuracy {accuracy:.2%} +- {ci95:.2%} (95 % interval over {self.test_episodes} "
            f"episodes; {self.protocol()}; {mode} batch normalisation; chance is "
            f"{1 / self.nway:.0%})."
        )
        picture = self.picture(learner, next(iter(self.episodes("test", 1))))
        summaries.write_test(folder, seen, {"accuracy": accuracy}, picture)
        return {
            "split": self.split,
            "rotations": self.rotations,
            "nway": self.nway,
            "kshot": self.kshot,
            "batch_norm": mode,
            "test_accuracy": accuracy,
            "test_ci95": ci95,
        }

    def task(self):
        return f"{self.nway}-way " + (f"{self.kshot}-shot" if self.kshot else "zero-shot")

    def protocol(self):
        return f"{self.data.dataset} ({self.split} split)"
