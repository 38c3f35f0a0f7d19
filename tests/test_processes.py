"""Several processes, real signals and failing disks; small networks, whole programs."""

import ctypes
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from programs import QUICK, ROOT, checkpoint_arrays, environment, logged, losses, run, start_processes

sys.path.insert(0, str(ROOT / "tests" / "endurance"))
import kill

from aggpose_jax.estimation import checkpoints
from aggpose_jax.runtime import checksums

STEPS = 20
# The demo's epsilon of Adam is so small that it makes steps of rounding where a gradient is nearly 0.
OPTIONS = (*QUICK, "--config.adam_epsilon=1e-8", f"--config.steps={STEPS}", "--config.checkpoint_steps=4")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> pathlib.Path:
    """The workdir of a run on one device that nothing disturbed."""
    workdir = tmp_path_factory.mktemp("whole") / "run"
    ended = run("main", *OPTIONS, f"--workdir={workdir}")
    assert ended.returncode == 0, ended.stderr
    return workdir


def together(workdir, *arguments: str, devices: int) -> list[subprocess.Popen]:
    """Two processes that have taken a step since they were started."""
    before = logged(workdir)
    processes = start_processes(2, *OPTIONS, *arguments, f"--workdir={workdir}", devices=devices)
    while logged(workdir) == before:
        assert all(process.poll() is None for process in processes), [p.communicate() for p in processes]
        time.sleep(0.02)
    return processes


def ends(processes, within: float) -> list[int]:
    """Exit codes of processes that must end within so many seconds; nothing of them is left."""
    until = time.monotonic() + within
    try:
        codes = [process.wait(timeout=max(until - time.monotonic(), 0.1)) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process in processes:
        process.communicate()  # ends when no child holds its output any more
    return codes


def assert_learned_the_same(workdir, whole) -> None:
    """Losses and parameters to 1e-5, and the same scores."""
    np.testing.assert_allclose(losses(workdir), losses(whole), rtol=1e-5)
    ours, expected = checkpoint_arrays(workdir, STEPS), checkpoint_arrays(whole, STEPS)
    assert ours.keys() == expected.keys()
    for name, array in expected.items():
        if name.startswith(("params/", "batch_stats/")):
            np.testing.assert_allclose(visible(name, ours[name]), visible(name, array), atol=1e-5, err_msg=name)


def visible(name: str, array: np.ndarray) -> np.ndarray:
    """Without the biases of keys: softmax does not see them, so that Adam makes steps of what rounding leaves."""
    return array[..., array.shape[-1] // 2 :] if name.endswith("attention/kv/bias") else array


@pytest.mark.slow
def test_one_device_eight_and_two_processes_of_four_learn_the_same(whole, tmp_path):
    ended = run("main", *OPTIONS, f"--workdir={tmp_path / 'eight'}", devices=8)
    assert ended.returncode == 0, ended.stderr
    processes = start_processes(2, *OPTIONS, f"--workdir={tmp_path / 'two'}", devices=4)
    said = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert "8 cpu devices of 2 processes as {'data': 8, 'fsdp': 1}" in said[0]
    assert "step" not in said[1]  # one of them speaks
    for name in ("eight", "two"):
        assert_learned_the_same(tmp_path / name, whole)


@pytest.mark.slow
def test_processes_are_killed_and_told_to_go_and_the_run_ends_as_if_alone(whole, tmp_path):
    """One workdir: the second is killed, the first is killed, the second is told to go, and one process goes on."""
    workdir = tmp_path / "run"
    for victim in (1, 0):
        processes = together(workdir, devices=2)
        processes[victim].send_signal(signal.SIGKILL)
        codes = ends(processes, within=60)
        assert codes[victim] == -signal.SIGKILL
        assert codes[1 - victim] != 0
    processes = together(workdir, devices=2)
    processes[1].send_signal(signal.SIGTERM)
    assert ends(processes, within=30) == [75, 75]
    assert checkpoints.last_finished(workdir) == len(losses(workdir))  # not a step is lost
    ended = run("main", *OPTIONS, f"--workdir={workdir}")
    assert ended.returncode == 0, ended.stderr
    assert_learned_the_same(workdir, whole)


@pytest.mark.slow
def test_a_run_that_is_killed_at_random_moments_ends_with_the_same_bytes(tmp_path):
    kill.main(kills=2, steps=40, seed=1, workdir=tmp_path)


def limited() -> None:
    """Files of more than 100 kB are refused, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))


def unprivileged() -> None:
    """What is marked as read-only is, even to root: a process without CAP_DAC_OVERRIDE."""
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)  # PR_CAPBSET_DROP


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "mode", "reason"), [(limited, 0o755, "File too large"), (unprivileged, 0o555, "Permission denied")]
)
def test_a_disk_that_takes_nothing_leaves_what_is_there_and_is_one_line(whole, tmp_path, fault, mode, reason):
    folder = tmp_path / "disk"
    try:
        shutil.copytree(whole, folder / "run")
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
