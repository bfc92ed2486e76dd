"""The flag for the device that a program computes on: a GPU where there is one, by default."""

from absl import flags

flags.disclaim_key_flags()

DEFAULT = "auto"


def define(values):
    """Defines `--device`."""
    text = "What to compute on; auto: a GPU where TensorFlow sees one, else the CPU."
    flags.DEFINE_enum("device", DEFAULT, ["auto", "gpu", "cpu"], text, flag_values=values)


def use(device):
    """Lets what follows run on a device; to be called before TensorFlow has computed anything.

    Args:
        device: a value of the flag.

    Returns:
        The device in words, such as `"GPU (NVIDIA H100)"` or `"CPU"`.

    Raises:
        SettingError: it is not there.
    """
    # They take seconds, for which help and refusals of flags do not wait.
    import tensorflow as tf

    from meta_keras.errors import SettingError

    gpus = tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise SettingError(
            "device=gpu: TensorFlow sees no GPU here. For one of NVIDIA, on Linux: pip install "
            '"tensorflow[and-cuda]".'
        )
    if device == "cpu" or not gpus:
        tf.config.set_visible_devices([], "GPU")
        return "CPU"
    return f"GPU ({tf.config.experimental.get_device_details(gpus[0]).get('device_name', '?')})"
