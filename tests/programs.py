"""Runs the programs as a user does, each in a process of its own."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]

# Any experiment in seconds: drop path and augmentation stay on.
SMALL = (
    "--config.model.drop_path=0.1",
    "--config.input_size=(64, 64)",
    "--config.eval_epochs=1000.0",
    "--config.log_steps=1",
    "--config.flip_test=False",
)


def environment(devices: int = 1) -> dict[str, str]:
    """Variables of a process that finds the package and sees so many CPU devices."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    return os.environ | {"PYTHONPATH": str(ROOT), "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


def start(program: str, *arguments: str, devices: int = 1) -> subprocess.Popen:
    """Starts python -m aggpose_jax.PROGRAM in the root of the repository."""
    command = [sys.executable, "-m", f"aggpose_jax.{program}", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment(devices), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def run(program: str, *arguments: str, devices: int = 1) -> subprocess.CompletedProcess:
    """Runs a program to its end."""
    process = start(program, *arguments, devices=devices)
    out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
