"""Compares training on one device, on eight devices and in two processes of four devices, and a run that moves.

python tests/endurance/processes.py [--workdir DIR]

For a pose network and a masked autoencoder, each with AdamW and with plain gradient descent, the losses, parameters and
scores of 20 steps must agree to 1e-5. With AdamW the biases of attention keys are not compared. With AdamW a run is
also resumed on four devices and then on one again; its losses must agree to 1e-6 with a run on one device.
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
LAYOUTS = {  # name: (processes, devices of each)
    "1 process of 1 device": (1, 1),
    "1 process of 8": (1, 8),
    "2 processes of 4": (2, 4),
}
DESCEND = str(pathlib.Path(__file__).with_name("descend.py"))
COMMON = ("--config.checkpoint_steps=5", "--config.schedule=step")
TASKS = {
    "pose": (*QUICK, *COMMON),
    "mae": (
        *("--config=configs/mae_synthetic.py:debug", *SMALL, "--config.eval_batch_size=8"),
        *("--config.input_size=(96, 128)", *COMMON),  # 3 of 12 mask patches are visible.
    ),
}
# name: (program, options, whether the biases of attention keys are compared). The softmax does not depend on these
# biases, so their gradient is rounding error, which Adam amplifies to steps of full size.
OPTIMIZERS = {
    "AdamW": ("main", ("--config.adam_epsilon=1e-8",), False),
    "gradient descent": (DESCEND, ("--config.learning_rate=1.0",), True),
}


def train(workdir: pathlib.Path, *options: str, program="main", processes: int = 1, devices: int = 1) -> None:
    """Runs a training to its end in `processes` processes of `devices` devices each."""
    options = (*options, f"--workdir={workdir}")
    if processes > 1:
        started = start_processes(processes, *options, devices=devices, program=program)
    else:
        started = [start(program, *options, devices=devices)]
    outputs = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0] * processes, outputs


def scores(workdir: pathlib.Path) -> dict[str, float]:
    """Returns the metrics of the last evaluation of a run."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k.startswith("eval/")} for line in lines if "train/loss" not in line][-1]


def parameter_difference(actual: pathlib.Path, expected: pathlib.Path, keys: bool) -> float:
    """Returns the greatest absolute difference of parameters and batch statistics between two runs at their end.

    Args:
      actual, expected: workdirs of the runs.
      keys: whether the biases of attention keys are compared.
    """
    actual, expected = checkpoint_arrays(actual, STEPS), checkpoint_arrays(expected, STEPS)
    assert actual.keys() == expected.keys()
    differences = []
    for name, array in expected.items():
        if name.startswith(("params/", "batch_stats/")):
            skipped = 0 if keys or not name.endswith("attention/kv/bias") else array.shape[-1] // 2
            differences.append(np.abs(actual[name] - array)[..., skipped:].max())
    return max(differences)


def loss_difference(actual: pathlib.Path, expected: pathlib.Path) -> float:
    """Returns the greatest relative difference of losses between two runs, over the steps of the first run."""
    taken = losses(actual)
    return np.abs(taken / losses(expected)[: len(taken)] - 1).max()


def compare_layouts(folder: pathlib.Path, options: tuple[str, ...], program: str, keys: bool) -> None:
    """Trains with every layout of processes and devices and compares each run with that of the first layout."""
    for layout, (processes, devices) in LAYOUTS.items():
        train(folder / layout, *options, program=program, processes=processes, devices=devices)
    first, *others = (folder / layout for layout in LAYOUTS)
    for other in others:
        loss, parameter = loss_difference(other, first), parameter_difference(other, first, keys)
        actual, expected = scores(other), scores(first)
        score = max(abs(actual[name] - expected[name]) / max(abs(expected[name]), 1) for name in expected)
        print(f"  {other.name}: losses to {loss:.1e}, parameters to {parameter:.1e}, scores to {score:.1e}", flush=True)
        assert max(loss, parameter, score) <= 1e-5


def move(folder: pathlib.Path, options: tuple[str, ...], reference: pathlib.Path) -> None:
    """Resumes a run on four devices and then on one again; compares it with a run that stayed on one device."""
    run = folder / "moved"
    for until, devices in ((5, 1), (10, 4), (15, 1)):
        train(run, *options, f"--config.steps={until}", devices=devices)
        difference = loss_difference(run, reference)
        print(f"  moved, until step {until} on {devices}: losses to {difference:.1e}", flush=True)
        assert difference <= 1e-6


def main(workdir: pathlib.Path) -> None:
    """Runs the comparisons for both tasks and both optimizers."""
    for task, options in TASKS.items():
        for optimizer, (program, extra, keys) in OPTIMIZERS.items():
            print(f"{task}, {optimizer}", flush=True)
            folder = workdir / f"{task} {optimizer}"
            compare_layouts(folder, (*options, *extra, f"--config.steps={STEPS}"), program, keys)
            if program == "main":
                move(folder, (*options, *extra), folder / next(iter(LAYOUTS)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=pathlib.Path)
    logging.set_verbosity(logging.ERROR)
    main(parser.parse_args().workdir or pathlib.Path(tempfile.mkdtemp()))
