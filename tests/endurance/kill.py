"""Kills a run repeatedly at random times and compares its result with that of an uninterrupted run.

python tests/endurance/kill.py --kills 30 [--seed 0] [--steps 400] [--network mit_pose_tiny] [--workdir DIR]

A checkpoint is saved every four steps, so that many kills interrupt a save. Each restart must resume from the latest
checkpoint that was finished at the time of the kill, and must find no damaged checkpoint. At the end every array of the
last checkpoint must have the same bytes as in the uninterrupted run, and every logged loss the same value.
"""

import argparse
import pathlib
import random
import re
import signal
import sys
import tempfile
import time

import numpy as np

sys.path.extend(map(str, pathlib.Path(__file__).parents[1:3]))
from programs import QUICK, checkpoint_bytes, logged, losses, run, start

from aggpose_jax.estimation import checkpoints

NEW_STEPS = 12  # A kill waits for 1 to 12 new steps, so that the run advances even on a slow machine.
LONGEST = 0.5  # the longest wait in seconds from the last of these steps to the kill


def options(steps: int, network: str) -> tuple[str, ...]:
    """Returns the flags of both runs."""
    return (*QUICK, f"--config.model.name={network}", f"--config.steps={steps}", "--config.checkpoint_steps=4")


def kill_once(workdir: pathlib.Path, arguments: tuple[str, ...], new: int, after: float) -> tuple[int | None, str]:
    """Starts the run and kills it `after` seconds after `new` new steps.

    Returns:
      The step of the last finished checkpoint, or None if there is none, and the standard output of the run.
    """
    before = logged(workdir)
    process = start("main", *arguments, f"--workdir={workdir}")
    while logged(workdir) < before + new and process.poll() is None:
        time.sleep(0.01)
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    output, _ = process.communicate()
    return checkpoints.last_finished(workdir), output


def check_start(output: str, expected: int | None) -> None:
    """Asserts that the run resumed from the expected step, or started anew if that is None."""
    match = re.search(r"resuming from the checkpoint of step (\d+)", output)
    found = int(match[1]) if match else None
    assert found == expected, f"resumed from step {found}, but the last finished checkpoint was {expected}\n{output}"
    assert "DAMAGED" not in output, output


def main(kills: int, steps: int, seed: int, workdir: pathlib.Path, network: str = "mit_pose_tiny") -> None:
    """Kills the run `kills` times, lets it finish and compares it with an uninterrupted run."""
    rng, arguments = random.Random(seed), options(steps, network)
    uninterrupted, killed = workdir / "uninterrupted", workdir / "killed"
    ended = run("main", *arguments, f"--workdir={uninterrupted}")
    assert ended.returncode == 0, ended.stderr
    finished = None
    for number in range(kills):
        new, after = rng.randint(1, NEW_STEPS), rng.uniform(0, LONGEST)
        expected, (finished, output) = finished, kill_once(killed, arguments, new, after)
        check_start(output, expected)
        print(f"kill {number + 1}: {after:.2f} s after {new} new steps; last checkpoint: {finished}", flush=True)
    ended = run("main", *arguments, f"--workdir={killed}")
    assert ended.returncode == 0, ended.stderr
    check_start(ended.stdout, finished)
    assert checkpoint_bytes(killed, steps) == checkpoint_bytes(uninterrupted, steps)
    np.testing.assert_array_equal(losses(killed), losses(uninterrupted))
    print(f"{kills} kills, {steps} steps: all arrays have the same bytes as in the uninterrupted run")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--network", default="mit_pose_tiny")
    parser.add_argument("--workdir", type=pathlib.Path)
    arguments = parser.parse_args()
    folder = arguments.workdir or pathlib.Path(tempfile.mkdtemp())
    main(arguments.kills, arguments.steps, arguments.seed, folder, arguments.network)
