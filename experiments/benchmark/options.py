"""What the benchmark can be asked for, and what it does if not asked."""

import dataclasses

from experiments import devices

MODES = ("eager", "graph", "xla")
SUBJECTS = ("few_shot", "optimizer", "both")

# The defaults of --quick, where they are others.
QUICK = {
    "modes": ("graph",),
    "orders": (1,),
    "steps": (1, 4, 8),
    "meta_batches": (1, 2),
    "updates": 15,
    "memory_updates": 100,
    "memory_steps": 1,
}


@dataclasses.dataclass(frozen=True)
class Options:
    """The program's flags, which say what each is for."""

    subject: str = "both"
    modes: tuple[str, ...] = MODES
    orders: tuple[int, ...] = (1, 2)
    steps: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    meta_batches: tuple[int, ...] = (1, 2, 4, 8)
    updates: int = 30
    memory_updates: int = 1000
    memory_steps: int = 8
    device: str = devices.DEFAULT
    timeout: int = 1800
    intra_op_threads: int = 0
    inter_op_threads: int = 0
    output: str | None = None
    quick: bool = False

    @property
    def runtime(self):
        """What TensorFlow computes on, and its threads, as the functions of `measure` take it."""
        threads = {"intra_op": self.intra_op_threads, "inter_op": self.inter_op_threads}
        return {"device": self.device, **threads}


def resolve(given):
    """Fills in the defaults, those of `quick` if it is chosen.

    Args:
        given: dict from names of options to values; None stands for one that was not given.

    Returns:
        `Options`.
    """
    given = {name: value for name, value in given.items() if value is not None}
    return Options(**{**(QUICK if given.get("quick") else {}), **given})
