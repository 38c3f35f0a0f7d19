"""One network trained by one device, by eight, and by two processes of four; resumed on other devices and back.

python tests/endurance/processes.py [--workdir DIR]

For a pose network and for a masked autoencoder, each with AdamW and with plain gradient descent: losses and parameters
of 20 steps to 1e-5 (with AdamW but for the biases of keys, which softmax does not see), and the same scores. Then a run
goes on from one device to four and back: its losses are those of a run that stayed on one device to 1e-6.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import numpy as np
from absl import logging

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from programs import QUICK, SMALL, checkpoint_arrays, losses, start, start_processes

STEPS = 20
PLACES = {"1 process of 1 device": (1, 1), "1 process of 8": (1, 8), "2 processes of 4": (2, 4)}
DESCEND = str(pathlib.Path(__file__).with_name("descend.py"))
COMMON = ("--config.checkpoint_steps=5", "--config.schedule=step")
TASKS = {
    "pose": (*QUICK, *COMMON),
    "mae": (
        *("--config=configs/mae_synthetic.py:debug", *SMALL, "--config.eval_batch_size=8"),
        *("--config.input_size=(96, 128)", *COMMON),  # 3 of 12 units are seen
    ),
}
# program, options, whether the biases of keys are compared: softmax does not see them, so Adam makes steps of rounding.
OPTIMIZERS = {
    "AdamW": ("main", ("--config.adam_epsilon=1e-8",), False),
    "gradient descent": (DESCEND, ("--config.learning_rate=1.0",), True),
}


def train(workdir: pathlib.Path, *options: str, program="main", processes: int = 1, devices: int = 1) -> None:
    """Trains in so many processes to the end."""
    options = (*options, f"--workdir={workdir}")
    if processes > 1:
        started = start_processes(processes, *options, devices=devices, program=program)
    else:
        started = [start(program, *options, devices=devices)]
    said = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0] * processes, said


def scores(workdir: pathlib.Path) -> dict[str, float]:
    """The metrics of the last evaluation."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k.startswith("eval/")} for line in lines if "train/loss" not in line][-1]


def parameter_difference(ours: pathlib.Path, expected: pathlib.Path, keys: bool) -> float:
    """The greatest between two runs at their end, with or without the biases of keys."""
    ours, expected = checkpoint_arrays(ours, STEPS), checkpoint_arrays(expected, STEPS)
    assert ours.keys() == expected.keys()
    differences = []
    for name, array in expected.items():
        if name.startswith(("params/", "batch_stats/")):
            hidden = 0 if keys or not name.endswith("attention/kv/bias") else array.shape[-1] // 2
            differences.append(np.abs(ours[name] - array)[..., hidden:].max())
    return max(differences)


def loss_difference(ours: pathlib.Path, expected: pathlib.Path) -> float:
    """The greatest between two runs, relative, over the steps of the first."""
    taken = losses(ours)
    return np.abs(taken / losses(expected)[: len(taken)] - 1).max()


def compare_places(folder: pathlib.Path, options: tuple[str, ...], program: str, keys: bool) -> None:
    """Trains in every place and compares with the first."""
    for place, (processes, devices) in PLACES.items():
        train(folder / place, *options, program=program, processes=processes, devices=devices)
    first, *others = (folder / place for place in PLACES)
    for other in others:
        loss, parameter = loss_difference(other, first), parameter_difference(other, first, keys)
        ours, expected = scores(other), scores(first)
        score = max(abs(ours[name] - expected[name]) / max(abs(expected[name]), 1) for name in expected)
        print(f"  {other.name}: losses to {loss:.1e}, parameters to {parameter:.1e}, scores to {score:.1e}", flush=True)
        assert max(loss, parameter, score) <= 1e-5


def move(folder: pathlib.Path, options: tuple[str, ...], whole: pathlib.Path) -> None:
    """From one device to four and back, some steps each, compared with a run that stayed on one."""
    run = folder / "moved"
    for until, devices in ((5, 1), (10, 4), (15, 1)):
        train(run, *options, f"--config.steps={until}", devices=devices)
        difference = loss_difference(run, whole)
        print(f"  moved, until step {until} on {devices}: losses to {difference:.1e}", flush=True)
        assert difference <= 1e-6


def main(workdir: pathlib.Path) -> None:
    for task, options in TASKS.items():
        for optimizer, (program, own, keys) in OPTIMIZERS.items():
            print(f"{task}, {optimizer}", flush=True)
            folder = workdir / f"{task} {optimizer}"
            compare_places(folder, (*options, *own, f"--config.steps={STEPS}"), program, keys)
            if program == "main":
                move(folder, (*options, *own), folder / next(iter(PLACES)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=pathlib.Path)
    logging.set_verbosity(logging.ERROR)
    main(parser.parse_args().workdir or pathlib.Path(tempfile.mkdtemp()))
