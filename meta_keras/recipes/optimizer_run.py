"""A run of the learned optimizer's recipe: tunes baselines, trains, compares."""

import functools
import math
import pathlib

import tensorflow as tf

from meta_keras import files, plots
from meta_keras.errors import SettingError
from meta_keras.optimizers import LearnedOptimizer, baselines
from meta_keras.problems import mnist_transfer_set
from meta_keras.recipes import optimizer_report
from meta_keras.training import lock, run_folder, runtime, terminal
from meta_keras.training.checkpoint import Checkpoint
from meta_keras.training.fit import fit
from meta_keras.training.optimizer_summaries import OptimizationSummaries
from meta_keras.training.replicas import replicas_for


def begin(recipe, logdir, eval_only):
    """What every run of a learned optimizer begins with; the path of its folder.

    Raises:
        SettingError: there is nothing to test, or a preset is to be trained.
        RunInUse: another process is training in the folder.
    """
    logdir = pathlib.Path(logdir or recipe.default_logdir()).expanduser()
    if recipe.preset and not eval_only:
        raise SettingError(f"preset={recipe.preset} can only be tested: add `eval_only`.")
    if eval_only and not recipe.preset and not run_folder.saved_settings(logdir):
        raise SettingError(f"`eval_only`: there is no trained optimizer in {logdir}.")
    if not eval_only:
        lock.refuse_if_locked(logdir)  # before the work of loading data
    return logdir


def run(recipe, logdir, resume, eval_only, verbose):
    """See `CoordinatewiseLSTM.fit`."""
    say = terminal.say if verbose else (lambda *_: None)
    runtime.set_up(recipe.seed, jit_compile=recipe.jit_compile)
    replicas = replicas_for("none" if eval_only else recipe.strategy, recipe.meta_batch)
    is_chief = replicas is None or replicas.is_chief
    if is_chief:
        logdir = begin(recipe, logdir, eval_only)
    preset = recipe.cell() if recipe.preset else None
    settings = recipe.identity()
    _ = recipe.problems  # may fail, before there is a folder
    if replicas:
        replicas.check_same({"identity": settings, "versions": files.versions()})
    if not is_chief:
        replicas.tell(verbose)
        _train(recipe, None, {}, verbose, replicas)
        return None
    with run_folder.opened(logdir, settings, resume, eval_only, say) as folder:
        rates = tuned_baselines(recipe, folder, say)
        if preset:
            return _test(recipe, folder, rates, preset, Checkpoint.NEW, logdir, verbose)
        if eval_only:
            best, state = Checkpoint.trained(folder / "checkpoints", "val_loss")
        else:
            say(f"Learning to optimize {recipe.problem}; run folder {folder}")
            best, state = _train(recipe, folder, rates, verbose, replicas)
        return _test(recipe, folder, rates, best.cell, state, logdir, verbose)


def _test(recipe, folder, rates, cell, state, logdir, verbose):
    say = terminal.say if verbose else (lambda *_: None)
    say(f"Testing on {recipe.test_runs} fresh optimizations ...")
    table = baselines.curve_table(
        cell,
        rates,
        recipe.problems.test,
        baselines.seeds("test", recipe.test_runs),
        recipe.steps,
        recipe.test_steps,
    )
    _save_figure(plots.loss_curves_figure(table, max(recipe.horizons)), folder / "curves")
    if verbose:
        optimizer_report.print_losses(table, [recipe.steps, recipe.test_steps], recipe.steps)
    results = {
        "experiment": "learn_to_optimize",
        "method": recipe.name,
        "problem": recipe.problem,
        "steps": recipe.steps,
        "tuned_for_steps": recipe.steps,
        "runs": recipe.test_runs,
        "optimizers": table,
        "generalization": _generalization(recipe, cell, folder, verbose),
        "seed": recipe.seed,
        **_progress(recipe, state["epoch"]),
        "wall_seconds": state["seconds"],
        "preset": recipe.preset,
        "versions": files.versions(),
        "flags": {**recipe.values(), "logdir": str(logdir)},
    }
    files.write_json(folder / "results.json", results)
    say(f"Results: {folder / 'results.json'}; the curves: {folder / 'curves.png'}")
    if not recipe.preset:
        card = optimizer_report.card_of(results, recipe.values(decides=True))
        with files.replacing(folder / "optimizer") as part:
            LearnedOptimizer(cell).save_to_preset(part, card)
        say(f"The optimizer, for LearnedOptimizer.from_preset: {folder / 'optimizer'}")
    return results


def _progress(recipe, epochs):
    """What so many validations' worth of training was.

    A curriculum's optimizations are not of `steps`: only its updates are counted.
    """
    return {
        "train_updates": epochs * recipe.updates,
        "train_optimizations": None if recipe.curriculum else epochs * recipe.interval,
    }


def work(recipe, replicas, start, count):
    """The truncations of so many updates from number `start` on: all of them, or this worker's.

    Every replica has its own of the optimizations side by side; those of a worker take turns.
    """
    if not replicas:
        return recipe.episodes("train", count, start)
    share = recipe.meta_batch // replicas.count
    first = replicas.worker * replicas.local
    works = [
        recipe.episodes("train", count, start, range(number * share, (number + 1) * share))
        for number in range(first, first + replicas.local)
    ]
    turns = tf.data.Dataset.range(replicas.local).repeat()
    return tf.data.Dataset.choose_from_datasets(works, turns)


def _train(recipe, folder, rates, verbose, replicas):
    """Trains or continues to the end; the best trainer and the last checkpoint's state."""

    def set_problems(trainer):
        trainer.problem = recipe.training_problem
        trainer.validation_problem = recipe.problems.validation
        trainer.horizon = max(recipe.horizons)  # Checkpoints of version 0.1 have none.

    best, state = fit(
        folder,
        recipe.compiled_learner,
        functools.partial(work, recipe, replicas),
        epochs=recipe.optimizations // recipe.interval,
        updates=recipe.updates,
        validation=lambda count: recipe.episodes("validation", count),
        callbacks=lambda: [
            OptimizationSummaries(
                folder,
                recipe.problems.validation,
                baselines.seeds("validation", recipe.validation_runs),
                recipe.updates,
                {
                    name: baselines.BASELINES[name](row["learning_rate"])
                    for name, row in rates.items()
                },
                _picture,
            )
        ],
        unit="update",
        monitor="val_loss",
        on_resume=set_problems,
        replicas=replicas,
        verbose=verbose,
    )
    return best, state


def _picture(table, horizon):
    return plots.figure_pixels(plots.loss_curves_figure(table, horizon))


def tuned_baselines(recipe, folder, say=terminal.say):
    """The baselines with their tuned rates; tuned once for a run's folder.

    A folder without a checkpoint may be used for another problem: all that decides the rates
    is part of the key. A damaged file is made anew.
    """
    file = folder / "baselines.json"
    decisive = ("problem", "variant", "steps", "seed", "validation_runs", "test_runs")
    key = {name: getattr(recipe, name) for name in decisive}
    if file.exists():
        try:
            saved = files.read_json(file)
            if {name: saved.get(name) for name in key} == key:
                return _checked_rates(saved.get("baselines"))
        except (OSError, ValueError) as error:
            say(f"{file} is damaged ({error}) and made anew.")
    say("Tuning the learning rate of every baseline ...")
    found = baselines.tuned_baselines(
        recipe.problems.validation, recipe.steps, recipe.validation_runs, recipe.test_runs
    )
    files.write_json(file, {**key, "baselines": found})
    return found


def _checked_rates(rates):
    """Baselines as `baselines.tuned_baselines` gives them; raises `ValueError` if they are not."""
    if not isinstance(rates, dict) or list(rates) != list(baselines.BASELINES):
        raise ValueError(f"its baselines are not {', '.join(baselines.BASELINES)}")
    for name, row in rates.items():
        grid = row.get("grid") if isinstance(row, dict) else None
        if not isinstance(grid, dict) or not all(isinstance(loss, float) for loss in grid.values()):
            raise ValueError(f"{name} has no losses")
        rate = row.get("learning_rate")
        if not isinstance(rate, float) or rate not in baselines.RATES:
            raise ValueError(f"{name} has learning_rate={rate!r}")
        if not math.isfinite(grid.get(f"{rate:g}", math.nan)):
            raise ValueError(f"{name} has no loss at its rate")
    return rates


def _generalization(recipe, cell, folder, verbose):
    if not recipe.generalize:
        return None
    tables = {}
    for description, (problem, steps) in mnist_transfer_set(recipe.data_dir).items():
        tables[description] = baselines.compare_on(
            cell, problem, steps, recipe.validation_runs, recipe.generalize_runs
        )
        if verbose:
            optimizer_report.print_transfer(description, tables[description])
    _save_figure(plots.loss_curves_panels(tables), folder / "generalization")
    return tables


def _save_figure(figure, stem):
    plots.save_figure(figure, stem.with_suffix(".png"), stem.with_suffix(".svg"))
