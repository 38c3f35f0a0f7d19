"""Functions that run the programs as a user does, each in its own process, and read the files that a run writes."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np

ROOT = pathlib.Path(__file__).parents[1]

# Compiling takes most of the time of the tests. XLA's older emitters of fused operations take a third less of it.
COMPILE_FAST = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"

# Overrides that make any experiment take seconds. Drop path and augmentation stay on.
SMALL = (
    "--config.model.drop_path=0.1",
    "--config.input_size=(64, 64)",
    "--config.eval_epochs=1000.0",
    "--config.log_steps=1",
    "--config.flip_test=False",
)

# Flags for the network that compiles fastest, on synthetic infants.
QUICK = (
    *("--config=configs/synthetic.py:debug", *SMALL, "--config.model.name=mit_pose_tiny"),
    *("--config.eval_batch_size=8", "--config.baselines=False"),
)


def environment(devices: int = 1, optimized: bool = False) -> dict[str, str]:
    """Returns environment variables with which a process can import the package and sees `devices` CPU devices.

    Compiling takes most of the time of a short run, so XLA optimises its programs only if `optimized` is true.
    """
    flags = f"--xla_force_host_platform_device_count={devices}"
    if not optimized:
        flags += f" {COMPILE_FAST}"
    return os.environ | {"PYTHONPATH": str(ROOT), "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


def is_alive(pid: int) -> bool:
    """Returns whether a process with this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def start(program: str, *arguments: str, devices: int = 1, optimized: bool = False) -> subprocess.Popen:
    """Starts python -m aggpose_jax.PROGRAM, or a script by its path, in the root of the repository.

    See `environment` for `devices` and `optimized`.
    """
    target = [program] if program.endswith(".py") else ["-m", f"aggpose_jax.{program}"]
    command = [sys.executable, *target, *arguments]
    pipe, variables = subprocess.PIPE, environment(devices, optimized)
    return subprocess.Popen(command, cwd=ROOT, env=variables, text=True, stdout=pipe, stderr=pipe)


def run(program: str, *arguments: str, devices: int = 1, optimized: bool = False) -> subprocess.CompletedProcess:
    """Runs a program (see `start`) to its end and returns its exit status and output."""
    process = start(program, *arguments, devices=devices, optimized=optimized)
    out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def start_processes(count: int, *arguments: str, devices: int = 1, program: str = "main") -> list[subprocess.Popen]:
    """Starts main, or a script with the same flags, in `count` processes of `devices` devices that train together."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = (f"--coordinator=127.0.0.1:{port}", f"--processes={count}")
    return [start(program, *common, f"--process={i}", *arguments, devices=devices) for i in range(count)]


def logged(workdir: pathlib.Path) -> int:
    """Returns the number of lines in metrics.jsonl, which is 0 if there is no such file."""
    file = workdir / "metrics.jsonl"
    return len(file.read_text().splitlines()) if file.exists() else 0


def losses(workdir: pathlib.Path) -> np.ndarray:
    """Returns the logged loss of every step, in order; for a step that was repeated after resuming, the last value."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    by_step = {line["step"]: line["train/loss"] for line in lines if "train/loss" in line}
    return np.array([by_step[step] for step in sorted(by_step)])


def checkpoint_arrays(workdir: pathlib.Path, step: int) -> dict[str, np.ndarray]:
    """Returns the arrays of a checkpoint by "item/path", restored to one device whatever devices wrote them."""
    import jax
    import orbax.checkpoint as ocp

    sharding, items = jax.sharding.SingleDeviceSharding(jax.devices()[0]), {}
    folders = (path for path in (workdir / "checkpoints" / str(step)).absolute().iterdir() if path.is_dir())
    for folder in sorted(folders):
        if folder.name == "metrics":
            continue  # This item is JSON and holds no arrays.
        with ocp.StandardCheckpointer() as checkpointer:
            saved = checkpointer.metadata(folder).item_metadata.tree
            target = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), saved)
            items[folder.name] = checkpointer.restore(folder, target)
    leaves = jax.tree_util.tree_leaves_with_path(items)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in leaves}


def checkpoint_bytes(workdir: pathlib.Path, step: int) -> dict[str, bytes]:
    """Returns the bytes of the arrays that `checkpoint_arrays` returns, for exact comparison."""
    return {name: array.tobytes() for name, array in checkpoint_arrays(workdir, step).items()}
