"""The program that checks a device, on the CPU; through the command line."""

import re

import tensorflow as tf

SMALL = ["--device=cpu", "--steps=1", "--unroll_steps=2", "--updates=1"]


def test_numbers_that_differ(call):
    """Without any tolerance rounding is an error."""
    done = call("check_device", *SMALL, "--subject=optimizer", "--tolerance=0")
    assert done.returncode == 1, done.stderr[-3000:]
    assert "GPU: left out. The CPU is checked against itself" in done.stdout
    assert re.search(r"^FAILED .*CPU with XLA: loss off by", done.stdout, re.MULTILINE)
    assert "NOT all checks passed on CPU." in done.stdout


def test_agreement(succeed):
    printed = succeed("check_device", *SMALL, "--subject=few_shot")
    assert len(re.findall(r"^ok  .*CPU with XLA: loss off by", printed, re.MULTILINE)) == 1
    times = re.findall(r"([\d.]+) ms an update (with|without) XLA", printed)
    assert len(times) == 2 and all(float(time) > 0 for time, _ in times)
    assert "All checks passed on CPU." in printed


def test_a_device_that_is_not_there(fail):
    if tf.config.list_physical_devices("GPU"):
        return
    for name, arguments in (("check_device", ()), ("benchmark", ("--quick",))):
        message = fail(name, "--device=gpu", *arguments)
        assert "--device=gpu: TensorFlow sees no GPU here" in message
