"""What a cell computes in, whatever the networks around it compute in."""

import keras

from meta_keras.errors import SettingError


def full_precision(dtype, name):
    """The dtype policy of a cell: float32, or float64 where that is asked for.

    A cell adds up small steps and roots of small squares, which half precision rounds away. Under
    the mixed policies, whose weights are float32, it computes in float32 too.

    Args:
        dtype: a dtype, the name of one or a `keras.DTypePolicy`; None: the global policy.
        name: of who asks, for the message.

    Returns:
        A `keras.DTypePolicy`.

    Raises:
        SettingError: the weights of the policy are neither float32 nor float64.

    Example:

    >>> full_precision("mixed_float16", "AdamCell").name
    'float32'
    """
    policy = keras.dtype_policies.get(dtype)
    if policy.variable_dtype not in ("float32", "float64"):
        raise SettingError(
            f"{name}: dtype={policy.name!r} must be float32, float64 or a mixed policy, "
            "under which it computes in float32."
        )
    if policy.compute_dtype == policy.variable_dtype:
        return policy
    return keras.DTypePolicy(policy.variable_dtype)
