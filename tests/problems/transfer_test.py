"""Tests of the set of tasks for optimizers of MNIST networks."""

import pathlib

import pytest

from meta_keras.problems import mnist_transfer_set


def test_sizes_and_steps(omniglot_dir):
    if not (pathlib.Path(omniglot_dir) / "mnist").is_dir():
        pytest.skip("MNIST is not prepared beside Omniglot")
    tasks = mnist_transfer_set(omniglot_dir)
    assert {name: (problem.size, steps) for name, (problem, steps) in tasks.items()} == {
        "200 steps": (15_910, 200),
        "1,000 steps": (15_910, 1000),
        "40 hidden units": (31_810, 100),
        "two hidden layers": (16_330, 100),
        "ReLU": (15_910, 100),
    }
