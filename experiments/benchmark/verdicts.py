"""Requirements that both subjects have.

A verdict is `(sentence with the measured value, whether the requirement is met)`.
"""

import statistics


def ratio(seconds, contenders, bare_at_most, eager_at_least, subject=""):
    """Graph against bare TensorFlow or against eager execution, taking turns in one process.

    Args:
        seconds: dict from a contender to the list of its times, of the same turns.
        contenders: `["graph", "bare"]` or `["graph", "eager"]`.
        bare_at_most: how many times bare TensorFlow's time graph may take.
        eager_at_least: how many times graph's time eager execution must take.
        subject: what the sentence begins with.

    Returns:
        A verdict.
    """
    graph, other = (seconds[name] for name in contenders)
    slower = statistics.median(b / a for a, b in zip(graph, other, strict=True))
    if contenders[1] == "bare":
        text = f"{subject}graph / bare TensorFlow: {1 / slower:.2f} (at most {bare_at_most})"
        return text, 1 / slower <= bare_at_most
    text = f"{subject}eager / graph: {slower:.1f} (at least {eager_at_least})"
    return text, slower >= eager_at_least


def r_squared(points):
    """R^2 of a straight line through `points`, a dict from x to y."""
    return statistics.correlation(list(points), list(points.values())) ** 2
