"""Worker processes whose parent process is killed, with real processes and signals."""

import os
import signal
import subprocess
import sys
import time

import pytest
from programs import environment, is_alive

PROGRAM = """
import multiprocessing, os, sys, time
from aggpose_jax.runtime.worker_processes import exit_with_parent

def work():
    exit_with_parent("an argument of initializers")
    time.sleep(0.1)
    print(os.getpid(), flush=True)
    time.sleep(60)

if __name__ == "__main__":
    worker = multiprocessing.get_context(sys.argv[1]).Process(target=work)
    worker.start()
    worker.join()
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_a_worker_exits_with_its_parent_process(tmp_path, method):
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    process = subprocess.Popen([sys.executable, str(file), method], env=environment(), stdout=subprocess.PIPE)
    worker = int(process.stdout.readline())
    assert is_alive(worker)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 10
    while is_alive(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    still_alive = is_alive(worker)
    if still_alive:
        os.kill(worker, signal.SIGKILL)
    process.stdout.close()
    assert not still_alive
