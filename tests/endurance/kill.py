"""Kills a run again and again, at random moments, and compares what comes out with a run that was left alone.

python tests/endurance/kill.py --kills 30 [--seed 0] [--steps 400] [--network mit_pose_tiny] [--workdir DIR]

Every fourth step is saved, so that many kills fall into a save. Each restart must go on from the latest checkpoint that
was finished when the kill came, and find none damaged. At the end every array must have the bytes of the other run's.
"""

import argparse
import pathlib
import random
import re
import signal
import sys
import tempfile
import time

sys.path.extend(map(str, pathlib.Path(__file__).parents[1:3]))
from programs import QUICK, checkpoint_bytes, logged, run, start

from aggpose_jax.estimation import checkpoints

NEW_STEPS = 12  # from a start to the kill, at most; so a run gets on, however slow the machine is
LONGEST = 0.5  # seconds from that step to the kill


def options(steps: int, network: str) -> tuple[str, ...]:
    return (*QUICK, f"--config.model.name={network}", f"--config.steps={steps}", "--config.checkpoint_steps=4")


def kill_once(workdir: pathlib.Path, arguments: tuple[str, ...], new: int, after: float) -> tuple[int | None, str]:
    """Kills the run so long after so many new steps; returns the last finished step and what the run said."""
    before = logged(workdir)
    process = start("main", *arguments, f"--workdir={workdir}")
    while logged(workdir) < before + new and process.poll() is None:
        time.sleep(0.01)
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    said, _ = process.communicate()
    return checkpoints.last_finished(workdir), said


def check_start(said: str, expected: int | None) -> None:
    """The run went on from the expected step, or began where nothing was finished."""
    match = re.search(r"going on from the checkpoint of step (\d+)", said)
    found = int(match[1]) if match else None
    assert found == expected, f"went on from {found}, finished was {expected}\n{said}"
    assert "DAMAGED" not in said, said


def main(kills: int, steps: int, seed: int, workdir: pathlib.Path, network: str = "mit_pose_tiny") -> None:
    chance, arguments = random.Random(seed), options(steps, network)
    whole, killed = workdir / "whole", workdir / "killed"
    ended = run("main", *arguments, f"--workdir={whole}")
    assert ended.returncode == 0, ended.stderr
    finished = None
    for number in range(kills):
        new, after = chance.randint(1, NEW_STEPS), chance.uniform(0, LONGEST)
        expected, (finished, said) = finished, kill_once(killed, arguments, new, after)
        check_start(said, expected)
        print(f"kill {number + 1}: {new} steps and {after:.2f} s after the start; finished: {finished}", flush=True)
    ended = run("main", *arguments, f"--workdir={killed}")
    assert ended.returncode == 0, ended.stderr
    check_start(ended.stdout, finished)
    assert checkpoint_bytes(killed, steps) == checkpoint_bytes(whole, steps)
    print(f"{kills} kills, {steps} steps: every array has the bytes of the run that was left alone")


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
