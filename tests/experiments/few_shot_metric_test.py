"""Tests of `--method` for the metric learners."""

import keras
import pytest
from absl import flags

from experiments import program
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
    "--episodes=4",
    "--validation_interval=2",
    "--validation_episodes=2",
    "--test_episodes=2",
]
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy


@pytest.mark.parametrize(
    ("method", "loss"),
    [
        ("prototypical", CROSS_ENTROPY),
        ("matching", CROSS_ENTROPY),
        ("relation", CROSS_ENTROPY),
        ("siamese", BalancedPairsLoss),
    ],
)
def test_defaults(applied, new_learner, method, loss):
    learner, values = new_learner(f"--method={method}"), applied(f"--method={method}")
    assert type(learner) is LEARNERS[method]
    assert type(learner.loss) is loss
    assert values["train_nway"] == (20 if method == "relation" else 60)
    # Feature maps of 64 channels for the relation module, 3x3 of them as a vector otherwise.
    assert learner.network.output_shape[-1] == (64 if method == "relation" else 3 * 3 * 64)
    # Flags of the methods that adapt leave no trace.
    assert values["inner_steps"] is None
    assert values["batch_norm"] is None


def test_own_flags(applied, new_learner):
    learner = new_learner("--method=prototypical", "--distance=cosine", "--temperature=0.3")
    assert (learner.distance, learner.temperature) == ("cosine", 0.3)
    learner = new_learner("--method=matching", "--full_context", "--filters=4")
    assert (learner.full_context, learner.temperature) == (True, 0.1)
    learner = new_learner("--method=relation", "--relation_loss=mse", "--filters=4")
    assert type(learner.loss) is RelationLoss
    assert learner.relation.input_shape == (None, 5, 5, 8)
    values = applied("--method=siamese", "--kshot=5")
    assert values["train_kshot"] == 1


@pytest.mark.parametrize("method", LEARNERS)
def test_xla_is_refused(applied, method):
    with pytest.raises(program.UsageError, match=f"--jit_compile does not .*--method={method}"):
        applied(f"--method={method}", "--jit_compile")


def test_bad_values(applied):
    with pytest.raises(flags.IllegalFlagValueError, match="temperature must be positive"):
        applied("--method=matching", "--temperature=0")


def test_too_many_training_classes(run, tmp_path):
    arguments = ["--method=siamese", "--train_nway=5000"]
    with pytest.raises(program.UsageError, match="--train_nway=5000 is more than the"):
        run(tmp_path / "run", *arguments)


@pytest.mark.parametrize("method", LEARNERS)
def test_trains_and_becomes_a_preset(run, tmp_path, method):
    first = run(tmp_path / "run", *TINY, f"--method={method}")
    assert first["method"] == method
    assert first["train_episodes"] == 4
    assert first["batch_norm"] == "inductive"
    trained = keras.models.load_model(tmp_path / "run" / "best.keras", compile=False)
    assert type(trained) is LEARNERS[method]

    trained.save_to_preset(tmp_path / "preset")
    preset = f"--preset={tmp_path / 'preset'}"
    test = [preset, "--eval_only", "--test_nquery=1", "--test_episodes=2"]
    second = run(tmp_path / "evaluated", *test)
    assert second["method"] == method
    assert second["test_accuracy"] == first["test_accuracy"]
    with pytest.raises(program.UsageError, match="--filters=8 cannot be given with --preset"):
        run(tmp_path / "refused", *test, "--filters=8")


def test_a_preset_serves_any_number_of_classes_and_shots(run, new_learner, tmp_path):
    new_learner("--method=prototypical", "--filters=2").save_to_preset(tmp_path / "preset")
    preset = [f"--preset={tmp_path / 'preset'}", "--eval_only", "--test_episodes=2"]
    other = run(tmp_path / "other", *preset, "--nway=9", "--kshot=2", "--test_nquery=1")
    assert (other["nway"], other["kshot"]) == (9, 2)


def test_interrupted_training_ends_with_the_same_weights(check_resuming):
    """Moving statistics included, which a resumed run finds in its checkpoint."""
    check_resuming(*TINY, "--method=prototypical", rtol=1e-4, atol=1e-6)
