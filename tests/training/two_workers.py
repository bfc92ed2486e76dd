"""One of two workers; a program run by replicas_test.py.

    python two_workers.py FOLDER [die | mirrored]

TF_CONFIG names the cluster; with `mirrored` they are two devices of one process. Trains with half
of every meta-batch a worker, and in the chief with all of it in one process, and prints as JSON how
far apart the weights are. With `die` worker 1 kills itself half way through the last training,
which without it begins where that has ended.
"""

import json
import os
import pathlib
import signal
import sys

import keras
import tensorflow as tf

from meta_keras import layers, learners, optimizers, problems
from meta_keras.errors import RunStopped, WorkerLost
from meta_keras.training import replicated, runtime
from meta_keras.training.fit import fit
from meta_keras.training.replicas import Replicas, replicas_of

UPDATES, EPOCHS, META_BATCH = 3, 2, 4
FOLDER = pathlib.Path(sys.argv[1])
MODE = sys.argv[2] if sys.argv[2:] else None


def network():
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            # Biases before batch normalisation, and of a prototypical network's embeddings, would
            # have gradients of rounding errors, of which Adam makes whole steps.
            keras.layers.Conv2D(3, 3, use_bias=False),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dense(3, use_bias=False),
        ]
    )


def compiled(learner, optimizer=None):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = optimizer or keras.optimizers.Adam(0.01, global_clipnorm=1.0)
    learner.compile(optimizer, loss, metrics=["accuracy"])
    return learner


def lstm(updates):
    learner = learners.LSTMMetaLearner(network(), inner_steps=2, second_order=True)
    return compiled(learner)


def prototypical(updates):
    return compiled(learners.PrototypicalNetwork(network()))


def reptile(updates):
    learner = learners.Reptile(network(), layers.GradientDescentCell(0.5), inner_steps=2)
    return compiled(learner, keras.optimizers.SGD(0.5))


PROBLEM = problems.Quadratic(dimensions=3, batch=4)


def optimizer(updates):
    trainer = optimizers.OptimizerTrainer(
        layers.CoordinatewiseLSTM((4,)), PROBLEM, 5, horizon=10, meta_batch=META_BATCH
    )
    trainer.compile(keras.optimizers.Adam(0.01, global_clipnorm=1.0))
    return trainer


def set_problem(model):
    if isinstance(model, optimizers.OptimizerTrainer):
        model.problem = PROBLEM


def episode(number):
    draw = tf.random.stateless_uniform([6, 6, 6, 1], tf.stack([number, 7]))
    labels = tf.range(3)
    x = {"support_images": draw[:3], "support_labels": labels, "query_images": draw[3:]}
    return x, labels


def episodes(start, count, share, every=1):
    numbers = tf.data.Dataset.range(start, start + count * every, every)
    return numbers.map(episode).batch(share)


def batches_of(make, replicas):
    worker, workers = (replicas.worker, replicas.workers) if replicas else (0, 1)
    share, local = (META_BATCH // replicas.count, replicas.local) if replicas else (META_BATCH, 1)

    def batches(start, count):
        if make is optimizer:
            works = [
                optimizers.truncations(
                    count,
                    10,
                    5,
                    start=start,
                    meta_batch=META_BATCH,
                    streams=range(number * share, (number + 1) * share),
                )
                for number in range(worker * local, (worker + 1) * local)
            ]
            turns = tf.data.Dataset.range(local).repeat()
            return tf.data.Dataset.choose_from_datasets(works, turns)
        return episodes(start * META_BATCH + worker, count * share * local, share, workers)

    return batches


def train(make, name, replicas):
    """The last weights of a training; None in a worker that is not the chief."""
    folder = FOLDER / name
    if replicas is None or replicas.is_chief:
        folder.mkdir(exist_ok=True)
    keras.utils.set_random_seed(replicas.worker if replicas else 0)  # The chief's weights count.
    of_problem = make is optimizer
    first, last = [], []

    class Ends(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            first[:] = [variable.numpy() for variable in self.model.trainable_variables]

        def on_train_batch_end(self, batch, logs=None):
            last[:] = [variable.numpy() for variable in self.model.trainable_variables]

    validation = optimizers.validation_optimizations([-1, -2])
    fit(
        folder,
        make,
        batches_of(make, replicas),
        epochs=EPOCHS,
        updates=UPDATES,
        validation=lambda count: validation if of_problem else episodes(1000, count or 2, 1),
        callbacks=lambda: [Ends()],
        unit="update",
        monitor="val_loss",
        on_resume=set_problem,
        replicas=replicas,
        verbose=False,
    )
    assert not first or distance(first, last) > 1e-3
    return last


def raised_in(count, number):
    """In the update of that number, counted from 1, this process gets a signal."""
    made = replicated.Update.__call__

    def counted(self, *args):
        nonlocal count
        count -= 1
        if count == 0:
            os.kill(os.getpid(), number)
        return made(self, *args)

    replicated.Update.__call__ = counted


def stopped(make, name, replicas):
    """A training that worker 1 is asked to end within its second epoch, and which goes on."""
    before = replicated.Update.__call__
    signal.signal(signal.SIGTERM, lambda *_: None)
    if replicas.worker == 1:
        raised_in(4, signal.SIGTERM)
    try:
        train(make, name, replicas)
    except RunStopped:
        replicated.Update.__call__ = before
        if replicas.is_chief:
            assert [path.name for path in (FOLDER / name / "checkpoints").iterdir()] == [
                "000001-000002"
            ]
        return train(make, name, replicas)
    raise AssertionError("was not stopped")


def distance(found, expected):
    parts = zip(found, expected, strict=True)
    return float(max(abs(one - other).max() for one, other in parts))


if __name__ == "__main__":
    runtime.set_up(0, 2)
    if MODE == "mirrored":
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
        )
        replicas = Replicas(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
    else:
        replicas = replicas_of("multi_worker")
    assert replicas.count == 2
    found = {}
    if MODE == "mirrored":
        for make in (prototypical, optimizer):
            found[make.__name__] = train(make, make.__name__, replicas)
    elif MODE == "die":
        for make in (lstm, prototypical, reptile):
            found[make.__name__] = train(make, make.__name__, replicas)
        found["optimizer"] = stopped(optimizer, "optimizer", replicas)
        if replicas.worker == 1:
            raised_in(5, signal.SIGKILL)
        try:
            train(reptile, "killed", replicas)
        except WorkerLost as error:
            print(error, file=sys.stderr)
            sys.stderr.flush()
        else:
            raise AssertionError("the other worker was not missed")
    else:
        found["killed"] = train(reptile, "killed", replicas)
    if replicas.is_chief:
        alone = {
            name: train(globals()["reptile" if name == "killed" else name], f"{name}_alone", None)
            for name in found
        }
        print(json.dumps({name: distance(found[name], alone[name]) for name in found}))
