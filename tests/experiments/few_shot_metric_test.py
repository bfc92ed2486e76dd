"""Tests of `--method` for the metric learners."""

import json

import keras
import pytest
from absl import flags
from absl.testing import flagsaver

from experiments import few_shot, few_shot_learner, few_shot_methods, program
from meta_keras import MatchingNetwork, PrototypicalNetwork, RelationNetwork, SiameseNetwork
from meta_keras.learners import BalancedPairsLoss, RelationLoss

LEARNERS = {
    "prototypical": PrototypicalNetwork,
    "matching": MatchingNetwork,
    "relation": RelationNetwork,
    "siamese": SiameseNetwork,
}
TINY = [
    "--filters=4",
    "--train_nway=7",
    "--nquery=1",
    "--test_nquery=1",
    "--episodes=8",
    "--validation_interval=4",
    "--validation_episodes=2",
    "--test_episodes=3",
]
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setattr(
        few_shot, "set_up_runtime", lambda: keras.utils.set_random_seed(flags.FLAGS.seed)
    )


@pytest.fixture
def run(any_data):
    """Function that runs the program with flags, and returns what `results.json` holds."""
    dataset, folder = any_data

    def run(logdir, *arguments):
        with flagsaver.flagsaver():
            data = [f"--dataset={dataset}", f"--data_dir={folder}", f"--logdir={logdir}"]
            flags.FLAGS(["few_shot", *data, *map(str, arguments)])
            few_shot.main()
        return json.loads((logdir / "results.json").read_text())

    return run


def _new_learner(*arguments):
    with flagsaver.flagsaver():
        flags.FLAGS(["few_shot", *arguments])
        few_shot_learner.apply_method()
        few_shot.check_flags()
        learner = few_shot_learner.new_learner()
        few_shot.compile_learner(learner, 10)
        return learner, program.module_flags("experiments.few_shot")


@pytest.mark.parametrize(
    ("method", "loss"),
    [
        ("prototypical", CROSS_ENTROPY),
        ("matching", CROSS_ENTROPY),
        ("relation", CROSS_ENTROPY),
        ("siamese", BalancedPairsLoss),
    ],
)
def test_defaults(method, loss):
    learner, values = _new_learner(f"--method={method}")
    assert type(learner) is LEARNERS[method]
    assert type(learner.loss) is loss
    assert values["train_nway"] == (20 if method == "relation" else 60)
    assert learner.network.output_shape[-1] == 64
    # Flags of the methods that adapt leave no trace.
    assert values["inner_steps"] is None
    assert values["batch_norm"] is None


def test_own_flags():
    learner, _ = _new_learner("--method=prototypical", "--distance=cosine", "--temperature=0.3")
    assert (learner.distance, learner.temperature) == ("cosine", 0.3)
    learner, _ = _new_learner("--method=matching", "--full_context", "--filters=4")
    assert (learner.full_context, learner.temperature) == (True, 0.1)
    learner, _ = _new_learner("--method=relation", "--relation_loss=mse", "--filters=4")
    assert type(learner.loss) is RelationLoss
    assert learner.relation.input_shape == (None, 5, 5, 8)
    _, values = _new_learner("--method=siamese", "--kshot=5")
    assert values["train_kshot"] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--method=prototypical", "--inner_steps=2"],
        ["--method=prototypical", "--full_context=True"],
        ["--method=matching", "--distance=cosine"],
        ["--method=relation", "--temperature=0.1"],
        ["--method=siamese", "--relation_loss=mse"],
        ["--method=maml", "--temperature=0.1"],
    ],
)
def test_flags_of_other_methods_are_refused(arguments):
    with pytest.raises(program.UsageError) as error:
        _new_learner(*arguments)
    assert f"{arguments[1]} does not apply to {arguments[0]}" in str(error.value)


@pytest.mark.parametrize("method", LEARNERS)
def test_xla_is_refused(method):
    with pytest.raises(program.UsageError, match=f"--jit_compile does not .*--method={method}"):
        _new_learner(f"--method={method}", "--jit_compile")


def test_bad_values():
    with pytest.raises(flags.IllegalFlagValueError, match="temperature must be positive"):
        _new_learner("--method=matching", "--temperature=0")


def test_too_many_training_classes(run, tmp_path):
    arguments = ["--method=siamese", "--train_nway=5000"]
    with pytest.raises(program.UsageError, match="--train_nway=5000 is more than the"):
        run(tmp_path / "run", *arguments)


@pytest.mark.parametrize("method", LEARNERS)
def test_trains_and_becomes_a_preset(run, tmp_path, method):
    first = run(tmp_path / "run", *TINY, f"--method={method}")
    assert first["method"] == method
    assert first["train_episodes"] == 8
    assert first["batch_norm"] == "inductive"
    trained = keras.models.load_model(tmp_path / "run" / "best.keras", compile=False)
    assert type(trained) is LEARNERS[method]

    trained.save_to_preset(tmp_path / "preset")
    preset = f"--preset={tmp_path / 'preset'}"
    test = [preset, "--eval_only", "--test_nquery=1", "--test_episodes=3"]
    second = run(tmp_path / "evaluated", *test)
    assert second["method"] == method
    assert second["test_accuracy"] == first["test_accuracy"]
    # The same weights serve any number of classes and shots.
    other = run(tmp_path / "other", *test, "--nway=9", "--kshot=2")
    assert (other["nway"], other["kshot"]) == (9, 2)
    with pytest.raises(program.UsageError, match="--filters=8 cannot be given with --preset"):
        run(tmp_path / "refused", *test, "--filters=8")


def test_every_method_is_found_by_its_config():
    for method in LEARNERS:
        learner, _ = _new_learner(f"--method={method}", "--filters=4")
        config = {
            "registered_name": keras.saving.get_registered_name(type(learner)),
            "config": learner.get_config(),
        }
        assert few_shot_methods.method_of(config) == method


def test_interrupted_training_ends_with_the_same_weights(run, tmp_path, monkeypatch):
    """Moving statistics included, which a resumed run finds in its checkpoint."""
    arguments = [*TINY, "--method=prototypical"]
    run(tmp_path / "whole", *arguments)

    begin = few_shot.callbacks.Progress.on_epoch_begin

    def stop(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt
        begin(self, epoch, logs)

    with monkeypatch.context() as patched:
        patched.setattr(few_shot.callbacks.Progress, "on_epoch_begin", stop)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "parts", *arguments)
    run(tmp_path / "parts", *arguments)
    whole, parts = (
        keras.models.load_model(tmp_path / name / "checkpoints" / "000002" / "learner.keras")
        for name in ("whole", "parts")
    )
    for one, other in zip(whole.variables, parts.variables, strict=True):
        assert one.numpy() == pytest.approx(other.numpy(), rel=1e-4, abs=1e-6)
