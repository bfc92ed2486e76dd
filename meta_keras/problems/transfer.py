"""Sets of tasks that show whether an optimizer does what it was not trained for."""

from meta_keras.problems.mnist import mnist_mlp


def mnist_transfer_set(data_dir=None):
    """What an optimizer of MNIST networks is tested on and was not trained for.

    Longer runs, and networks of another width, depth and activation: Andrychowicz et al. 2016,
    section 3.2 and figures 4 and 5, https://arxiv.org/abs/1606.04474

    Args:
        data_dir: as for `mnist_mlp`.

    Returns:
        Dict from a description to `(problem, steps)`.

    Raises:
        DatasetError: the data cannot be had.
    """
    base = mnist_mlp(data_dir)
    return {
        "200 steps": (base, 200),
        "1,000 steps": (base, 1000),
        "40 hidden units": (mnist_mlp(data_dir, units=(40,)), 100),
        "two hidden layers": (mnist_mlp(data_dir, units=(20, 20)), 100),
        "ReLU": (mnist_mlp(data_dir, activation="relu"), 100),
    }
