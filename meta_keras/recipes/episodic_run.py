"""A run of a recipe on episodes: trains, tests, leaves its results in a folder."""

import functools
import pathlib

import keras

from meta_keras import files
from meta_keras.errors import SettingError
from meta_keras.training import lock, run_folder, runtime, summaries, terminal
from meta_keras.training.checkpoint import Checkpoint
from meta_keras.training.fit import fit
from meta_keras.training.replicas import replicas_for, workers_of


def run(recipe, logdir, resume, eval_only, verbose):
    """See `EpisodicRecipe.fit`."""
    strategy = "none" if eval_only else recipe.strategy
    workers = workers_of(strategy)
    runtime.set_up(recipe.seed, max(1, recipe.meta_batch // workers), recipe.jit_compile)
    replicas = replicas_for(strategy, recipe.meta_batch)
    is_chief = replicas is None or replicas.is_chief
    say = terminal.say if verbose and is_chief else (lambda *_: None)
    logdir = pathlib.Path(logdir or recipe.default_logdir(eval_only)).expanduser()
    if not eval_only and is_chief:
        lock.refuse_if_locked(logdir)  # before the work of loading data
    begun = run_folder.saved_settings(logdir)
    if eval_only and not begun and not recipe.preset and not (logdir / "best.keras").exists():
        raise SettingError(f"`eval_only`: there are no trained weights in logdir={logdir}.")
    untrained = recipe.learner() if recipe.preset else None
    recipe.use_data(recipe.load_data((begun or {}).get("dataset")))
    keras.utils.set_random_seed(recipe.seed)  # Preparing data may have drawn random numbers.
    if replicas:
        replicas.check_same({"identity": recipe.identity(), "versions": files.versions()})
    if not is_chief:
        replicas.tell(verbose)
        _train(recipe, None, verbose, replicas)
        return None
    say(f"{recipe.task()} on {recipe.protocol()}.")
    checkpoint = Checkpoint(logdir / "checkpoints", monitor=recipe.monitor)
    if eval_only and not begun:
        # A run's own weights come first; without a run there must be a preset.
        learner, state = untrained or checkpoint.load_best(), checkpoint.state
    with run_folder.opened(logdir, recipe.identity(), resume, eval_only, say) as folder:
        if not eval_only:
            say(f"Run folder {folder}; pictures of the training: tensorboard --logdir {folder}")
            learner, state = _train(recipe, folder, verbose, replicas)
        elif begun:
            learner, state = Checkpoint.trained(folder / "checkpoints", recipe.monitor)
        return _test(recipe, folder, learner, state, logdir, say)


def work(recipe, replicas, start, count):
    """The batches of so many updates from number `start` on: all of them, or this worker's.

    The workers take the episodes in turn; of a worker's, each of its replicas takes a batch an
    update.
    """
    first, episodes = start * recipe.meta_batch, count * recipe.meta_batch
    if not replicas:
        return recipe.episodes("train", episodes, first)
    workers, share = replicas.workers, recipe.meta_batch // replicas.count
    return recipe.episodes(
        "train", episodes // workers, first + replicas.worker, share, every=workers
    )


def _train(recipe, folder, verbose, replicas):
    """Trains or continues to the end; the best learner and the last checkpoint's state."""
    updates = recipe.interval // recipe.meta_batch

    def callback():
        summaries.write_settings(folder, recipe.values(), recipe.identity())
        return summaries.EpisodeSummaries(
            folder,
            recipe.interval,
            next(iter(recipe.episodes("train", recipe.meta_batch))),
            next(iter(recipe.episodes("validation", 1))),
            recipe.picture,
        )

    return fit(
        folder,
        recipe.compiled_learner,
        functools.partial(work, recipe, replicas),
        epochs=recipe.train_episodes // recipe.interval,
        updates=updates,
        validation=lambda count: recipe.episodes("validation", count).cache(),
        callbacks=lambda: [callback()],
        unit="episode",
        monitor=recipe.monitor,
        units_per_update=recipe.meta_batch,
        replicas=replicas,
        verbose=verbose,
    )


def _test(recipe, folder, learner, state, logdir, say):
    say(f"Testing on {recipe.test_episodes} episodes of {recipe.unseen} never seen in training ...")
    seen = state["epoch"] * recipe.interval
    found = recipe.test(learner, folder, seen, say)
    results = {
        "experiment": recipe.experiment,
        "method": recipe.method,
        "dataset": recipe.data.dataset,
        "dataset_reason": recipe.data.reason,
        **found,
        "preset": recipe.preset,
        "seed": recipe.seed,
        "test_episodes": recipe.test_episodes,
        "train_episodes": seen,
        "best_episode": state["best_epoch"] * recipe.interval,
        recipe.monitor.replace("val_", "validation_"): state["best"],
        "wall_seconds": state["seconds"],
        "versions": files.versions(),
        "flags": {**recipe.values(), "logdir": str(logdir)},
    }
    files.write_json(folder / "results.json", results)
    say(f"Results: {folder / 'results.json'}; a test episode: {folder / 'episode.png'}")
    return results
