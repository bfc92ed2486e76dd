"""The replicas of a training: devices of this machine, or the workers of a cluster."""

import contextlib
import functools
import hashlib
import json
import os
import re

import numpy as np
import tensorflow as tf

from meta_keras.errors import SettingError, WorkerLost
from meta_keras.training import terminal

EXAMPLE = (
    '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, '
    '"task": {"type": "worker", "index": 0}}'
)
LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.UnavailableError,
)


class Replicas:
    """What each computes its share of an update's gradient; together they make one update.

    Args:
        strategy: a `tf.distribute` strategy of one process or several.
        worker: number of this process.
        workers: how many there are.

    Attributes:
        count: replicas of all workers together.
        local: replicas of this worker.
        is_chief: whether this worker tells and writes for all.
    """

    def __init__(self, strategy, worker=0, workers=1):
        self.strategy = strategy
        self.worker, self.workers = worker, workers
        self.count = strategy.num_replicas_in_sync
        self.local = self.count // workers
        self.is_chief = worker == 0
        self._total = tf.function(self._all_reduce, autograph=False, reduce_retracing=True)

    def per_replica(self, values):
        """A list of one nest of tensors a local replica, as what `strategy.run` takes."""
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: values[context.replica_id_in_sync_group % self.local]
        )

    def _all_reduce(self, values):
        def add(value):
            # Where it is to be is where it was computed, so it has to be.
            value, context = tf.identity(value), tf.distribute.get_replica_context()
            return context.all_reduce(tf.distribute.ReduceOp.SUM, value)

        totals = self.strategy.run(add, args=(values,))
        return self.strategy.experimental_local_results(totals)[0]

    def totals(self, rows):
        """Adds up vectors over all replicas.

        Args:
            rows: list of NumPy `[n]` float64, one a local replica.

        Returns:
            NumPy `[n]` float64, the same in all workers.

        Raises:
            WorkerLost: another worker has ended.
        """
        with self.together():
            return self._total(self.per_replica([tf.constant(row) for row in rows])).numpy()

    def from_chief(self, values):
        """The chief's vector, NumPy `[n]` float64, for all workers; the others' does not matter."""
        rows = [np.zeros_like(values, "float64") for _ in range(self.local)]
        if self.is_chief:
            rows[0] = np.asarray(values, "float64")
        return self.totals(rows)

    def check_same(self, what):
        """Raises `SettingError` in all workers if they were started with different settings.

        Args:
            what: JSON-able dict of all that has to be the same.
        """
        digest = hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).digest()
        mine = np.frombuffer(digest, "uint16").astype("float64")
        # By squares, too: different numbers may have the right sum.
        sums = self.totals([np.concatenate([mine, mine**2])] * self.local)
        mean = sums / self.count
        if any(mean[: len(mine)] ** 2 != mean[len(mine) :]):
            raise SettingError(
                "The workers were started with different settings or data; start all with the same "
                "command and the same version."
            )

    def tell(self, verbose):
        """Says, if it may, what a worker does that is not the chief."""
        if verbose:
            terminal.say(f"Worker {self.worker + 1} of {self.workers} trains along.")

    @contextlib.contextmanager
    def together(self):
        """A context in which the end of another worker is a `WorkerLost`."""
        try:
            yield
        except LOST as error:
            reason = re.search(r"Collective ops is aborted by: (.{,200})", str(error))
            raise WorkerLost(
                "Another worker has ended, or its connection has "
                f"({reason[1] if reason else type(error).__name__}). Start the same command on all "
                "workers again; it goes on from the last checkpoint."
            ) from error


def workers_of(strategy):
    """How many processes a strategy of this name has: those of TF_CONFIG, or this one.

    Raises:
        SettingError: TF_CONFIG is missing or not understood.
    """
    return _cluster()[1] if strategy == "multi_worker" else 1


@functools.cache
def replicas_of(strategy):
    """The `Replicas` of a strategy by name; None of `"none"`.

    `"multi_worker"` has to be the first use of TensorFlow in a process; it waits for the others.

    Raises:
        SettingError: TF_CONFIG is missing or not understood, or TensorFlow has begun to work.
    """
    if strategy == "none":
        return None
    if strategy == "mirrored":
        return Replicas(tf.distribute.MirroredStrategy())
    worker, workers = _cluster()
    try:
        return Replicas(tf.distribute.MultiWorkerMirroredStrategy(), worker, workers)
    except RuntimeError as error:
        raise SettingError(
            f"strategy=multi_worker must be the first use of TensorFlow in a process: {error}"
        ) from error


def replicas_for(strategy, meta_batch):
    """The `Replicas` of a strategy, see `replicas_of`, among which a meta-batch is divided.

    Raises:
        SettingError: it cannot be divided evenly; or see `replicas_of`.
    """
    replicas = replicas_of(strategy)
    if replicas and meta_batch % replicas.count:
        raise SettingError(
            f"meta_batch={meta_batch} must be a multiple of the {replicas.count} devices "
            f"of strategy={strategy}."
        )
    return replicas


def _cluster():
    """`(number of this worker, number of workers)` by TF_CONFIG; the chief has number 0."""
    text = os.environ.get("TF_CONFIG")
    if not text:
        raise SettingError(
            f"strategy=multi_worker needs the cluster in the variable TF_CONFIG, such as {EXAMPLE}."
        )
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        if not set(cluster) <= {"chief", "worker"}:
            raise ValueError(f"the cluster has {', '.join(cluster)}, not only chief and worker")
        places = [
            (kind, i) for kind in ("chief", "worker") for i in range(len(cluster.get(kind, [])))
        ]
        return places.index((task["type"], int(task["index"]))), len(places)
    except (KeyError, TypeError, ValueError) as error:
        raise SettingError(
            f"strategy=multi_worker: TF_CONFIG={text} must be like {EXAMPLE}; {error!r}."
        ) from error
