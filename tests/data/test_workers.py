"""Data workers that die or hang, or whose parent process dies, tested with real processes and signals."""

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
    batches = pipeline.training_batches(Source(), make_batch, batch_size=2, seed=0, workers=1)
    for batch in data_watchdog.warn_when_late(batches, lambda text: print(text, flush=True), 1.0):
        print("worker", batch["worker"][0], flush=True)
        time.sleep(0.05)
"""


@pytest.fixture
def program(tmp_path):
    """Starts PROGRAM, waits for its first batch, and yields the process and the process id of its data worker."""
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, str(file)], env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    line = process.stdout.readline()
    while not line.startswith("worker"):  # A slow start prints warnings first.
        line = process.stdout.readline()
    yield process, int(line.split()[1])
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_the_death_of_a_worker_is_an_error_within_30_seconds(program):
    process, worker = program
    os.kill(worker, signal.SIGKILL)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Worker process was terminated unexpectedly" in errors


@pytest.mark.slow
def test_the_warning_about_a_hanging_worker_names_it_and_training_can_continue(program):
    process, worker = program
    os.kill(worker, signal.SIGSTOP)
    line = process.stdout.readline()
    while not line.startswith("WARNING"):
        line = process.stdout.readline()
    assert "no data for 1 s" in line
    assert str(worker) in line
    os.kill(worker, signal.SIGCONT)
    assert process.stdout.readline().startswith(("worker", "WARNING"))


@pytest.mark.slow
def test_workers_exit_when_their_parent_process_dies(program):
    process, worker = program
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while is_alive(worker) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not is_alive(worker)
