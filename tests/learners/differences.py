"""Central differences, which gradients are compared with."""

import numpy as np

STEP = 1e-5


def assert_derivatives(variables, gradients, loss):
    """Asserts that gradients are what moving single weights does to a loss.

    Args:
        variables: list of float64 variables; they are left as they were.
        gradients: of the loss by them.
        loss: function of no argument to a number.
    """
    for variable, gradient in zip(variables, gradients, strict=True):
        before = variable.numpy()
        numerical = np.zeros_like(before)
        for index in np.ndindex(before.shape):
            ends = []
            for step in (STEP, -STEP):
                moved = np.array(before)
                moved[index] += step
                variable.assign(moved)
                ends.append(float(loss()))
            numerical[index] = (ends[0] - ends[1]) / (2 * STEP)
        variable.assign(before)
        np.testing.assert_allclose(gradient, numerical, rtol=1e-5, atol=1e-8)
