"""The recipe of few-shot regression on sine waves."""

import math

import keras

from meta_keras import data, layers, learners, metrics, networks, plots
from meta_keras.errors import SettingError
from meta_keras.recipes.episodic import EpisodeData, EpisodicRecipe
from meta_keras.recipes.settings import setting
from meta_keras.training import summaries

METHODS = ("maml", "fomaml", "meta_sgd", "reptile", "lstm")


class Sinusoid(EpisodicRecipe):
    """Regression on sine waves from a few points (Finn et al. 2017, section 5.1).

    https://arxiv.org/abs/1703.03400. A network of two hidden layers of 40 units learns initial
    weights from which one gradient step on K points fits y = a sin(x - b). The test adapts with up
    to `test_steps` steps and gives the mean squared error after each.
    """

    name = "sinusoid"
    experiment = "sinusoid"
    unseen = "waves"
    metrics = ()
    monitor = "val_loss"

    train_episodes = 1_750_000
    meta_batch = 25
    learning_rate = 1e-3
    validation_interval = 175_000
    test_episodes = 600
    method: str = setting("maml", "What adapts the network.", choices=METHODS)
    kshot: int = setting(10, "K, support pictures a class (of a wave: points).", at_least=1)
    nquery: int = setting(
        10, "Q, query pictures a class (of a wave: points) in training.", at_least=1
    )
    test_nquery: int = setting(
        100, "Query pictures a class (of a wave: points) in validation and test.", at_least=1
    )
    units: tuple[int, ...] = setting((40, 40), "Widths of the network's hidden layers.")
    inner_learning_rate: float = setting(
        0.01,
        "alpha, the (for meta_sgd: first) rate of a step.",
        above=0,
        cases={"reptile": 0.02},
        case_of="method",
    )
    inner_steps: int = setting(
        1, "T, steps on the support set.", at_least=1, cases={"reptile": 5}, case_of="method"
    )
    test_steps: int = setting(10, "Steps of the test at most.", at_least=1, decides=False)

    def learner(self):
        rate, steps = self.inner_learning_rate, {"inner_steps": self.inner_steps}
        network, constant = networks.dense_network(1, units=self.units), keras.initializers.Constant
        options = {**steps, "inner_loss": keras.losses.MeanSquaredError()}
        if self.method == "reptile":
            return learners.Reptile(network, layers.GradientDescentCell(rate), **options)
        options["second_order"] = self.method != "fomaml"
        if self.method == "meta_sgd":
            return learners.MetaSGD(network, layers.MetaSGDCell(constant(rate)), **options)
        if self.method == "lstm":
            first = constant(math.log(rate / (1 - rate)))
            cell = layers.GatedLSTMCell(
                input_gate_bias_initializer=first, forget_gate_bias_initializer=constant(6.0)
            )
            return learners.LSTMMetaLearner(network, cell, **options)
        return learners.MAML(network, layers.GradientDescentCell(rate), **options)

    def check(self):
        super().check()
        if self.method == "lstm" and self.inner_learning_rate >= 1:
            raise SettingError(
                f"inner_learning_rate={self.inner_learning_rate} must be below 1 with method=lstm: "
                "it is a gate."
            )

    def loss(self):
        return keras.losses.MeanSquaredError()

    def load_data(self, begun_with=None):
        return EpisodeData({}, "sinusoid", None, 0, {})

    def draw(self, part, **stream):
        return data.sinusoids(
            self.kshot, self.nquery if part == "train" else self.test_nquery, **stream
        )

    def picture(self, learner, batch):
        return plots.regression_picture(learner, batch)

    def task(self):
        return f"{self.kshot}-shot regression"

    def protocol(self):
        return "sine waves of amplitude 0.1 to 5"

    def test(self, learner, folder, seen, say):
        """Tests after 0, 1, ... steps: see `EpisodicRecipe.test`."""
        errors, intervals = errors_after_steps(learner, self.episodes("test"), self.test_steps)
        steps = sorted({0, 1, self.test_steps})
        say("Mean squared error of the query points, and its 95 % interval over the waves:")
        for s in steps:
            say(f"after {s:2} steps  {errors[s]:.3f} +- {intervals[s]:.3f}")
        summaries.write_test(
            folder,
            seen,
            {"error": errors[self.inner_steps] if self.inner_steps < len(errors) else errors[-1]},
            self.picture(learner, next(iter(self.episodes("test", 1)))),
        )
        plots.save_figure(plots.errors_figure(errors, intervals), folder / "errors.png")
        return {"kshot": self.kshot, "test_errors": errors, "test_errors_ci95": intervals}

    def default_logdir(self, eval_only=False):
        return f"runs/{self.method}-sinusoid-{self.kshot}shot"


def errors_after_steps(learner, episodes, steps):
    """The mean squared error of the query points after 0, 1, ... steps, and its 95 % interval.

    Args:
        learner: a `GradientBasedLearner` of regression; its `test_inner_steps` are as before
            afterwards.
        episodes: a finite `tf.data.Dataset` of `(x, y)` batches.
        steps: how many at most.

    Returns:
        `(errors, half widths)`: lists of `steps + 1` floats; entry 0 is the network's own, without
        adaptation.
    """
    batches, before = list(episodes.as_numpy_iterator()), learner.test_inner_steps

    def squared(outputs):
        return [float(((o - y) ** 2).mean()) for o, (_, y) in zip(outputs, batches, strict=True)]

    found = [squared([_unadapted(learner.network, x["query_images"]) for x, _ in batches])]
    try:
        for count in range(1, steps + 1):
            learner.test_inner_steps = count
            found.append(squared([learner.predict_on_batch(x) for x, _ in batches]))
    finally:
        learner.test_inner_steps = before
    pairs = [metrics.mean_and_ci95(errors) for errors in found]
    return [mean for mean, _ in pairs], [half for _, half in pairs]


def _unadapted(network, inputs):
    flat = inputs.reshape(-1, *inputs.shape[2:])
    return network.predict_on_batch(flat).reshape(*inputs.shape[:2], -1)
