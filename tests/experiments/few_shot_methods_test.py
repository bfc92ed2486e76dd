"""Tests of `--method`: what each builds, its own flags and defaults, and presets of each."""

import keras
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from experiments import few_shot_data, few_shot_methods, program
from meta_keras import MAML, MetaSGD, Reptile, networks
from meta_keras.layers import AdamCell, GradientDescentCell

GRADIENT_BASED = ["lstm", "maml", "fomaml", "meta_sgd", "reptile"]
TINY = [
    "--filters=4",
    "--nquery=1",
    "--test_nquery=1",
    "--meta_batch=1",
    "--episodes=4",
    "--validation_interval=2",
    "--validation_episodes=2",
    "--test_episodes=2",
    "--downsample=stride",
    "--inner_steps=1",
    "--test_inner_steps=2",
]


def test_lstm_keeps_its_defaults(applied):
    values = applied()
    expected = {
        "method": "lstm",
        "episodes": 22000,
        "meta_batch": 2,
        "learning_rate": 2e-3,
        "decay": True,
        "clip_norm": 10.0,
        "nquery": 5,
        "inner_steps": 1,
        "inner_batch_size": None,
        "second_order": True,
        "batch_norm": "transductive",
        "divide_gradient_by_batch": False,
        "filters": 32,
        "downsample": "pool",
        "logits_initializer": "zeros",
        "normalize_features": False,
        "pools": 4,
        "meta_optimizer": "adam",
        "input_gate_bias": 2.0,
        "forget_gate_bias": 6.0,
        # Flags of other methods leave no trace in a run's settings.
        "test_inner_steps": None,
        "inner_learning_rate": None,
        "inner_optimizer": None,
        "train_nway": None,
        "train_kshot": None,
    }
    assert {name: values[name] for name in expected} == expected


def test_defaults_of_a_method_give_way_to_flags(applied):
    values = applied("--method=reptile", "--meta_batch=4", "--inner_optimizer=adam")
    assert values["meta_batch"] == 4
    assert values["inner_optimizer"] == "adam"
    assert values["train_kshot"] == 10
    assert values["clip_norm"] is None
    assert values["input_gate_bias"] is None
    assert values["second_order"] is None


@pytest.mark.parametrize("method", few_shot_methods.METHODS)
def test_defaults_fit_together(applied, method):
    values = applied(f"--method={method}")
    assert values["method"] == method
    entry = few_shot_methods.METHODS[method]
    assert {name: values[name] for name in entry.defaults} == entry.defaults


@pytest.mark.parametrize(
    "arguments",
    [
        ["--method=lstm", "--inner_learning_rate=0.1"],
        ["--method=maml", "--input_gate_bias=1.0"],
        ["--method=maml", "--second_order=True"],
        ["--method=fomaml", "--second_order=True"],
        ["--method=meta_sgd", "--inner_optimizer=sgd"],
        ["--method=reptile", "--divide_gradient_by_batch=True"],
        ["--method=maml", "--temperature=0.1"],
        ["--method=prototypical", "--inner_steps=2"],
        ["--method=prototypical", "--full_context=True"],
        ["--method=matching", "--distance=cosine"],
        ["--method=relation", "--temperature=0.1"],
        ["--method=siamese", "--relation_loss=mse"],
        *([f"--method={method}", "--train_nway=10"] for method in GRADIENT_BASED),
    ],
)
def test_flags_of_other_methods_are_refused(applied, arguments):
    with pytest.raises(program.UsageError) as error:
        applied(*arguments)
    assert f"{arguments[1]} does not apply to {arguments[0]}" in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method=maml", "--inner_learning_rate=0"], "inner_learning_rate must be positive"),
        (["--method=reptile", "--nquery=11"], "at most 20"),
        (["--kshot=6"], "--kshot plus --test_nquery must be at most 20"),
        (["--method=reptile", "--inner_batch_size=51"], "at most 50"),
        (["--pools=3", "--downsample=stride"], "--pools=3 does not go with --downsample=stride"),
        (["--method=maml", "--inner_batch_size=6"], "at most 5"),
        (["--method=maml", "--test_inner_steps=0"], "--test_inner_steps=0"),
    ],
)
def test_bad_values(applied, arguments, words):
    with pytest.raises((program.UsageError, flags.Error), match=words):
        applied(*arguments)


def test_a_methods_defaults_count_where_pictures_are_counted(applied):
    """Reptile trains with one query picture, so that 16 + 5 drawings of lstm do not matter."""
    values = applied("--method=reptile", "--kshot=16", "--test_nquery=4")
    assert (values["train_kshot"], values["nquery"]) == (10, 1)


def test_training_episodes_of_another_size():
    drawings = {part: np.full((9, 20, 28, 28), 9, "uint8") for part in ("train", "test")}
    with flagsaver.flagsaver():
        flags.FLAGS(["few_shot", "--train_nway=7", "--train_kshot=3", "--nquery=2"])
        shapes = {
            part: next(iter(few_shot_data.make_episodes(drawings, part, 1)))[0] for part in drawings
        }
    assert shapes["train"]["support_images"].shape == (1, 21, 28, 28, 1)
    assert shapes["train"]["query_images"].shape == (1, 14, 28, 28, 1)
    assert shapes["test"]["support_images"].shape == (1, 5, 28, 28, 1)
    assert shapes["test"]["query_images"].shape == (1, 75, 28, 28, 1)


@pytest.mark.parametrize(
    ("method", "learner", "second_order"),
    [
        ("maml", MAML, True),
        ("meta_sgd", MetaSGD, True),
        ("reptile", Reptile, False),
    ],
)
def test_trains_and_becomes_a_preset(run, tmp_path, method, learner, second_order):
    folder = tmp_path / "run"
    first = run(folder, *TINY, f"--method={method}")
    assert first["method"] == method
    assert first["train_episodes"] == 4
    assert first["batch_norm"] == "transductive"
    assert 0 <= first["test_accuracy"] <= 1
    trained = keras.models.load_model(folder / "best.keras", compile=False)
    assert type(trained) is learner
    assert trained.second_order == second_order
    assert trained.test_inner_steps == 2
    events = list((folder / "train").glob("events*")) + list(
        (folder / "validation").glob("events*")
    )
    assert len(events) >= 2

    trained.save_to_preset(tmp_path / "preset")
    preset = f"--preset={tmp_path / 'preset'}"
    test = ["--eval_only", "--test_nquery=1", "--test_episodes=2"]
    second = run(tmp_path / "evaluated", preset, *test)
    assert second["method"] == method  # the preset's, not lstm's
    assert second["test_accuracy"] == first["test_accuracy"]
    assert second["flags"]["test_inner_steps"] == 2
    with pytest.raises(program.UsageError, match=f"is of --method={method}, not --method=fomaml"):
        run(tmp_path / "other", preset, "--method=fomaml", *test)
    with pytest.raises(program.UsageError, match="--filters=8 cannot be given with --preset"):
        run(tmp_path / "other", preset, "--filters=8", *test)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("method", few_shot_methods.METHODS)
def test_method_of_a_config(new_learner, method):
    learner = new_learner(f"--method={method}", "--filters=2")
    assert type(learner) is few_shot_methods.METHODS[method].learner
    if method in ("maml", "fomaml"):
        assert learner.second_order == (method == "maml")
    config = {
        "registered_name": keras.saving.get_registered_name(type(learner)),
        "config": learner.get_config(),
    }
    assert few_shot_methods.method_of(config) == method


def test_steps_at_test_may_be_chosen_for_a_preset(run, tmp_path):
    learner = MAML(networks.conv4(5, filters=2), GradientDescentCell(0.3), test_inner_steps=2)
    learner.save_to_preset(tmp_path / "preset")
    preset = [f"--preset={tmp_path / 'preset'}", "--eval_only", *TINY[1:3], "--test_episodes=2"]
    results = run(tmp_path / "run", *preset, "--test_inner_steps=4")
    assert results["flags"]["test_inner_steps"] == 4


def test_preset_of_no_method(applied):
    with pytest.raises(program.UsageError, match="--preset=quadratic is not of a method"):
        applied("--preset=quadratic", "--eval_only")


@pytest.mark.parametrize(("optimizer", "cell"), [("adam", AdamCell), ("sgd", GradientDescentCell)])
def test_reptile_as_the_flags_say(new_learner, optimizer, cell):
    arguments = ["--filters=2", "--inner_learning_rate=0.25", f"--inner_optimizer={optimizer}"]
    learner = new_learner("--method=reptile", *arguments)
    assert type(learner.cell) is cell
    assert learner.cell.learning_rate == 0.25
    assert getattr(learner.cell, "beta_1", 0.0) == 0.0
    assert learner.network.get_layer("features_norm").input.shape == (None, 3 * 3 * 2)


@pytest.mark.parametrize(
    ("name", "expected"), [("adam", keras.optimizers.Adam), ("sgd", keras.optimizers.SGD)]
)
def test_meta_optimizer_as_the_flags_say(new_learner, name, expected):
    arguments = ["--filters=2", f"--meta_optimizer={name}", "--learning_rate=0.5"]
    optimizer = new_learner("--method=reptile", *arguments, "--nodecay").optimizer
    assert type(optimizer) is expected and float(optimizer.learning_rate) == 0.5


def test_interrupted_reptile_ends_with_the_same_weights(check_resuming):
    check_resuming(*TINY, "--method=reptile", "--test_inner_steps=1", rtol=1e-5, atol=1e-6)
