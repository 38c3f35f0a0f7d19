"""Tests that run the training program: several processes, real signals and failing disks, with a small network."""

import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from disks import drop_privileges
from programs import QUICK, ROOT, checkpoint_arrays, environment, logged, losses, run, start_processes

sys.path.insert(0, str(ROOT / "tests" / "endurance"))
import kill

from aggpose_jax.estimation import checkpoints
from aggpose_jax.runtime import checksums

STEPS = 12
# With the demo's tiny epsilon, Adam amplifies rounding errors to full steps where a gradient is nearly 0.
OPTIONS = (*QUICK, "--config.adam_epsilon=1e-8", f"--config.steps={STEPS}", "--config.checkpoint_steps=4")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> pathlib.Path:
    """Returns the workdir of a run on one device that was not interrupted."""
    workdir = tmp_path_factory.mktemp("uninterrupted") / "run"
    ended = run("main", *OPTIONS, f"--workdir={workdir}")
    assert ended.returncode == 0, ended.stderr
    return workdir


def start_two_processes(workdir, *arguments: str, devices: int) -> list[subprocess.Popen]:
    """Starts two processes that train together; returns them once they have logged a new step."""
    before = logged(workdir)
    processes = start_processes(2, *OPTIONS, *arguments, f"--workdir={workdir}", devices=devices)
    while logged(workdir) == before:
        assert all(process.poll() is None for process in processes), [p.communicate() for p in processes]
        time.sleep(0.02)
    return processes


def exit_codes(processes, timeout: float) -> list[int]:
    """Waits until the processes and their children have ended and returns the exit codes of the processes.

    Raises:
      TimeoutExpired: they do not end within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    try:
        codes = [process.wait(timeout=max(deadline - time.monotonic(), 0.1)) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process in processes:
        process.communicate()  # This returns when the last child process that inherited the output has ended.
    return codes


def assert_learned_the_same(workdir, reference) -> None:
    """Asserts that two runs have the same losses, parameters and batch statistics to 1e-5."""
    np.testing.assert_allclose(losses(workdir), losses(reference), rtol=1e-5)
    actual, expected = checkpoint_arrays(workdir, STEPS), checkpoint_arrays(reference, STEPS)
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        if name.startswith(("params/", "batch_stats/")):
            np.testing.assert_allclose(comparable(name, actual[name]), comparable(name, array), atol=1e-5, err_msg=name)


def comparable(name: str, array: np.ndarray) -> np.ndarray:
    """Returns a parameter without the biases of attention keys.

    The softmax does not depend on these biases, so their gradient is rounding error, which Adam amplifies.
    """
    return array[..., array.shape[-1] // 2 :] if name.endswith("attention/kv/bias") else array


@pytest.mark.slow
def test_one_device_and_two_mesh_axes_and_two_processes_of_four_devices_learn_the_same(uninterrupted, tmp_path):
    assert losses(uninterrupted)[-1] < losses(uninterrupted)[0]
    ended = run("main", *OPTIONS, "--config.mesh.fsdp=2", f"--workdir={tmp_path / 'two_axes'}", devices=8)
    assert ended.returncode == 0, ended.stderr
    processes = start_processes(2, *OPTIONS, f"--workdir={tmp_path / 'two'}", devices=4)
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert "{'data': 8, 'fsdp': 1}" in outputs[0]
    assert "step" not in outputs[1]  # Only process 0 logs.
    for name in ("two_axes", "two"):
        assert_learned_the_same(tmp_path / name, uninterrupted)


@pytest.mark.slow
def test_run_with_killed_and_preempted_processes_ends_like_an_uninterrupted_one(uninterrupted, tmp_path):
    """In one workdir process 1 is killed, then process 0 is killed, then process 1 gets SIGTERM, then one resumes."""
    workdir = tmp_path / "run"
    for victim in (1, 0):
        processes = start_two_processes(workdir, devices=2)
        processes[victim].send_signal(signal.SIGKILL)
        codes = exit_codes(processes, timeout=60)
        assert codes[victim] == -signal.SIGKILL
        assert codes[1 - victim] != 0
    processes = start_two_processes(workdir, devices=2)
    processes[1].send_signal(signal.SIGTERM)
    assert exit_codes(processes, timeout=30) == [75, 75]
    assert checkpoints.last_finished(workdir) == len(losses(workdir))  # No logged step is lost.
    ended = run("main", *OPTIONS, f"--workdir={workdir}")
    assert ended.returncode == 0, ended.stderr
    assert_learned_the_same(workdir, uninterrupted)


@pytest.mark.slow
def test_run_killed_at_random_times_ends_with_the_same_bytes(tmp_path):
    kill.main(kills=2, steps=40, seed=1, workdir=tmp_path)


def limit_file_size() -> None:
    """Makes writes beyond 100 kB of a file fail in this process, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "mode", "reason"),
    [(limit_file_size, 0o755, "File too large"), (drop_privileges, 0o555, "Permission denied")],
)
def test_disk_without_write_access_leaves_checkpoints_intact_and_is_one_line(
    uninterrupted, tmp_path, fault, mode, reason
):
    folder = tmp_path / "disk"
    try:
        shutil.copytree(uninterrupted, folder / "run")
        for path in (folder, *folder.rglob("*")):
            path.chmod(mode)
        command = [sys.executable, "-m", "aggpose_jax.main", *OPTIONS, "--config.steps=30"]
        ended = subprocess.run(
            [*command, f"--workdir={folder / 'run'}"],
            **{"cwd": ROOT, "env": environment(), "preexec_fn": fault},
            **{"text": True, "capture_output": True},
        )
        assert ended.returncode == 1
        (line,) = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
        assert reason in line
        assert "Traceback" not in ended.stderr
        assert checkpoints.last_finished(folder / "run") == STEPS
        assert checksums.find_damage(folder / "run" / "checkpoints" / str(STEPS)) is None
    finally:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)
