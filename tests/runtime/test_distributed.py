"""Distributed helpers, tested in one process; tests/test_processes.py runs several processes."""

import jax
import numpy as np
import pytest

from aggpose_jax.errors import UserError
from aggpose_jax.runtime import distributed, sharding


def test_launchers_are_detected_from_the_environment():
    unrelated = {"HOME": "/root"}
    assert distributed.detect_launcher(unrelated) is None
    assert distributed.detect_launcher({"SLURM_NTASKS": "4", "SLURM_STEP_NODELIST": "n[1-4]"}) == "SLURM"
    assert distributed.detect_launcher({"SLURM_NTASKS": "4"}) is None  # in the batch script of a job, outside srun
    assert distributed.detect_launcher({"SLURM_NTASKS": "1", "SLURM_STEP_NODELIST": "n1"}) is None
    assert (
        distributed.detect_launcher({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"})
        == "Kubernetes"
    )
    assert distributed.detect_launcher({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("host:1", 2, None), "--coordinator.*--processes.*--process="),
        ((None, None, 0), "--coordinator"),
        (("host:1", 2, 2), "--process=2: .*2 processes"),
        (("host:1", 2, -1), "--process=-1: .*2 processes"),
    ],
)
def test_incomplete_or_wrong_arguments_are_an_error(arguments, message):
    with pytest.raises(UserError, match=message):
        distributed.connect(*arguments)


def test_a_single_process_does_not_initialize_jax_distributed(monkeypatch):
    monkeypatch.setattr(jax.distributed, "initialize", None)  # a call would fail
    distributed.connect(None, None, None)
    distributed.connect(None, 1, None)
    assert distributed.is_primary()
    assert distributed.process_shard() == (0, 1)


def test_an_error_of_the_launcher_is_reported_with_the_flags(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.setenv("SLURM_STEP_NODELIST", "n[1-4]")

    def fail(**_):
        raise ValueError("coordinator_address should be defined")

    monkeypatch.setattr(jax.distributed, "initialize", fail)
    with pytest.raises(UserError, match=r"SLURM: .*coordinator_address should be defined.*--coordinator"):
        distributed.connect(None, None, None)


def test_gathered_batches_keep_64_bit_values(monkeypatch):
    doubles = np.array([[1 + 1e-15, 2], [5, 6]])
    numbers = np.array([[2**40 + 1, 2], [5, 6]])
    other_process = {doubles.dtype: np.array([[3.0, 4], [7, 8]]), numbers.dtype: np.array([[3, 4], [7, 8]])}

    def allgather(raw):
        dtype = doubles.dtype if raw.tobytes() == doubles.tobytes() else numbers.dtype
        return np.stack([raw, np.frombuffer(other_process[dtype].tobytes(), np.uint8)])

    monkeypatch.setattr(distributed.multihost_utils, "process_allgather", allgather)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(distributed, "wait_for_all", lambda name: None)
    gathered = distributed.gather_batches({"score": doubles, "id": numbers})
    np.testing.assert_array_equal(gathered["score"], [[1 + 1e-15, 2, 3, 4], [5, 6, 7, 8]])
    np.testing.assert_array_equal(gathered["id"], [[2**40 + 1, 2, 3, 4], [5, 6, 7, 8]])
    assert gathered["id"].dtype == np.int64


def test_local_rows_of_a_single_process_are_all_rows():
    mesh = sharding.make_mesh()
    rows = np.arange(6 * mesh.size).reshape(2 * mesh.size, 3)
    np.testing.assert_array_equal(distributed.local_rows(sharding.put_batch({"a": rows}, mesh)["a"]), rows)
