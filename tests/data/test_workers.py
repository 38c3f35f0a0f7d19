"""Data workers that die, hang, or lose the process that started them; real processes and signals."""

import os
import signal
import subprocess
import sys
import time

import pytest
from programs import environment, is_alive

PROGRAM = """
import os, signal, sys, time
import numpy as np
from absl import flags
from aggpose_jax.data import pipeline
from aggpose_jax.training.reliability import data_watchdog

class Source:
    def __len__(self):
        return 10
    def __getitem__(self, index):
        return {"number": index}

def make_batch(records, generators):
    return {"number": np.array([record["number"] for record in records]), "worker": np.full(len(records), os.getpid())}

if __name__ == "__main__":
    flags.FLAGS(["x"])
    batches = pipeline.training_batches(Source(), make_batch, batch_size=2, seed=0, workers=1)
    for batch in data_watchdog.warn_when_late(batches, lambda text: print(text, flush=True), 1.0):
        print("worker", batch["worker"][0], flush=True)
        time.sleep(0.05)
"""


@pytest.fixture
def program(tmp_path):
    """The program that takes batches from one worker, when the first has come, and the worker's process."""
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, str(file)], env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    line = process.stdout.readline()
    while not line.startswith("worker"):  # it may be slow to start, and that is said
        line = process.stdout.readline()
    yield process, int(line.split()[1])
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_a_worker_that_dies_is_an_error_within_half_a_minute(program):
    process, worker = program
    os.kill(worker, signal.SIGKILL)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Worker process was terminated unexpectedly" in said


@pytest.mark.slow
def test_a_worker_that_hangs_is_named_and_may_go_on(program):
    process, worker = program
    os.kill(worker, signal.SIGSTOP)
    line = process.stdout.readline()
    while not line.startswith("WARNING"):
        line = process.stdout.readline()
    assert "no data for 1 s; is the disk, or a data worker, hanging?" in line
    assert str(worker) in line
    os.kill(worker, signal.SIGCONT)
    assert process.stdout.readline().startswith(("worker", "WARNING"))


@pytest.mark.slow
def test_workers_end_with_the_process_that_started_them(program):
    process, worker = program
    process.kill()
    process.wait()
    until = time.monotonic() + 10
    while is_alive(worker) and time.monotonic() < until:
        time.sleep(0.1)
    assert not is_alive(worker)
