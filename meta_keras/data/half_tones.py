"""Whether drawings are drawings: lines are ink or paper, but for their edges."""

# The share of half-tones in drawings of 28x28 pixels: 0.06 in the middle for Omniglot's, 0.09 for
# simulated photographs of those, 0.15 for photographs of other things that are read as if.
HALF_TONES = 0.125


def half_tones(drawings):
    """The share of half-tones of every picture.

    Where the median of many pictures is above `HALF_TONES`, they hardly show characters.

    Args:
        drawings: float `[..., size, size]` in [0, 1], ink 1 on paper 0; blank ones are passed over.

    Returns:
        float `[n]`, of all that are not blank.
    """
    drawings = drawings.reshape(-1, *drawings.shape[-2:])
    drawings = drawings[drawings.any(axis=(1, 2))]
    return ((drawings > 0.2) & (drawings < 0.8)).mean(axis=(1, 2))
