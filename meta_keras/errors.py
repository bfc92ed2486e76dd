"""What can go wrong by a user's doing: each error's message says what is allowed instead.

Programs end with the message of a `UserError` and without a traceback.
"""


class UserError(Exception):
    """The user asked for something that cannot be."""


class SettingError(UserError, ValueError):
    """An unknown or ill-fitting setting: the message names it, its value and what is allowed.

    Settings are written `name=value`, or in backquotes where the value does not matter, so that
    a program can name its flags instead.
    """


class DatasetError(UserError):
    """A data set cannot be had; the message says why and what to do."""


class PictureError(UserError):
    """A file that is no picture, or not of a character; the message says what it is instead."""


class PresetError(UserError, ValueError):
    """A preset that does not exist, is damaged, or may not be overwritten."""


class BackboneError(UserError, ValueError):
    """A frozen network that does not exist, is damaged or of another kind, or cannot be had."""


class CheckpointError(UserError):
    """A checkpoint that cannot be read."""


class OutputError(UserError, OSError):
    """A file cannot be written, such as on a full disk; what was written before is whole."""


class RunInUse(UserError):
    """Another process is training in the run's folder."""


class RunStopped(UserError):
    """A signal has stopped a training after a checkpoint; the same call goes on from there."""


class WorkerLost(UserError):
    """Another worker of a training has ended; the same command on all goes on."""


class NonFiniteLoss(UserError):
    """Training met a loss that is not a number."""
