"""A run of the recipe of the optimizer for any network: trains it, tests it on other tasks."""

from meta_keras import files
from meta_keras.errors import SettingError
from meta_keras.optimizers import LearnedOptimizer
from meta_keras.recipes import optimizer_run, optimizer_suite
from meta_keras.training import run_folder, runtime, terminal
from meta_keras.training.checkpoint import Checkpoint
from meta_keras.training.fit import fit
from meta_keras.training.optimizer_summaries import TaskSummaries


def run(recipe, logdir, resume, eval_only, verbose):
    """See `GeneralOptimizer.fit`."""
    say = terminal.say if verbose else (lambda *_: None)
    if eval_only and not recipe.suite:
        raise SettingError("`eval_only` tests on the tasks of `suite`: add it.")
    runtime.set_up(recipe.seed, jit_compile=recipe.jit_compile)
    logdir = optimizer_run.begin(recipe, logdir, eval_only)
    if not eval_only:
        _ = recipe.tasks  # may fail, before there is a folder
    preset = recipe.cell() if recipe.preset else None
    suite = optimizer_suite.load(recipe) if recipe.suite else None
    with run_folder.opened(logdir, recipe.values(decides=True), resume, eval_only, say) as folder:
        if preset:
            cell, state = preset, Checkpoint.NEW
        else:
            if eval_only:
                best, state = Checkpoint.trained(folder / "checkpoints", "val_loss")
            else:
                say(f"Learning to optimize {recipe.problem}; run folder {folder}")
                best, state = _train(recipe, folder, verbose)
            cell = best.cell
        results = _results(recipe, state, logdir)
        if not recipe.preset and not eval_only:
            _save(cell, folder, results, recipe)
            say(f"The optimizer, for LearnedOptimizer.from_preset: {folder / 'optimizer'}")
            files.write_json(folder / "results.json", results)  # The suite takes its time.
        if suite:
            results["suite"] = optimizer_suite.run(
                recipe, suite, cell, folder, terminal.say if verbose else None
            )
            if not recipe.preset:
                _save(cell, folder, results, recipe)
        files.write_json(folder / "results.json", results)
        say(f"Results: {folder / 'results.json'}")
        return results


def _results(recipe, state, logdir):
    return {
        "experiment": "learn_to_optimize",
        "method": recipe.name,
        "problem": recipe.problem,
        "train_updates": state["epoch"] * recipe.interval,
        "best_update": (state.get("best_epoch") or 0) * recipe.interval,
        "validation_loss": state.get("best"),
        "seed": recipe.seed,
        "wall_seconds": state["seconds"],
        "preset": recipe.preset,
        "suite": None,
        "versions": files.versions(),
        "flags": {**recipe.values(), "logdir": str(logdir)},
    }


def _save(cell, folder, results, recipe):
    names = (
        "method",
        "problem",
        "train_updates",
        "best_update",
        "validation_loss",
        "seed",
        "suite",
        "versions",
    )
    card = {name: results[name] for name in names} | {"flags": recipe.values(decides=True)}
    if card["suite"]:
        card["suite"] = {name: card["suite"][name] for name in ("steps", "runs", "summary")}
    with files.replacing(folder / "optimizer") as part:
        LearnedOptimizer(cell).save_to_preset(part, card)


def _train(recipe, folder, verbose):
    """Trains or continues to the end; the best trainer and the last checkpoint's state."""

    def set_tasks(trainer):
        trainer.tasks, trainer.validation_tasks = recipe.tasks

    return fit(
        folder,
        recipe.compiled_learner,
        lambda start, count: recipe.episodes("train", count, start),
        epochs=recipe.updates // recipe.interval,
        updates=recipe.truncations,
        validation=lambda count: recipe.episodes("validation", count),
        callbacks=lambda: [TaskSummaries(folder, recipe.tasks[1], recipe.interval)],
        unit="truncation",
        monitor="val_loss",
        on_resume=set_tasks,
        verbose=verbose,
    )
