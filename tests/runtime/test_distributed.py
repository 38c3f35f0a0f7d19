"""What of several processes can be seen from one; together they are in tests/test_processes.py."""

import jax
import numpy as np
import pytest

from aggpose_jax.errors import UserError
from aggpose_jax.runtime import distributed, sharding


def test_what_starts_several_processes():
    nothing = {"HOME": "/root"}
    assert distributed.launcher(nothing) is None
    assert distributed.launcher({"SLURM_NTASKS": "4", "SLURM_STEP_NODELIST": "n[1-4]"}) == "SLURM"
    assert distributed.launcher({"SLURM_NTASKS": "4"}) is None  # the script of a job, before srun
    assert distributed.launcher({"SLURM_NTASKS": "1", "SLURM_STEP_NODELIST": "n1"}) is None
    assert distributed.launcher({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}) == "Kubernetes"
    assert distributed.launcher({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("host:1", 2, None), "of several processes all must be known: give --coordinator"),
        ((None, None, 0), "of several processes all must be known"),
        (("host:1", 2, 2), "--process=2: is none of 2 processes"),
        (("host:1", 2, -1), "--process=-1: is none of 2 processes"),
    ],
)
def test_what_cannot_be_joined(arguments, message):
    with pytest.raises(UserError, match=message):
        distributed.join(*arguments)


def test_one_process_joins_none(monkeypatch):
    monkeypatch.setattr(jax.distributed, "initialize", None)  # is not called
    distributed.join(None, None, None)
    distributed.join(None, 1, None)
    assert distributed.is_primary()
    assert distributed.share() == (0, 1)


def test_a_launcher_that_finds_no_others_is_told_the_flags(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.setenv("SLURM_STEP_NODELIST", "n[1-4]")

    def fail(**_):
        raise ValueError("coordinator_address should be defined")

    monkeypatch.setattr(jax.distributed, "initialize", fail)
    with pytest.raises(UserError, match=r"SLURM: the other processes were not found \(coordinator_address should"):
        distributed.join(None, None, None)


def test_shares_are_joined_batch_by_batch_without_losing_a_digit(monkeypatch):
    doubles = np.array([[1 + 1e-15, 2], [5, 6]])
    numbers = np.array([[2**40 + 1, 2], [5, 6]])
    others = {doubles.dtype: np.array([[3.0, 4], [7, 8]]), numbers.dtype: np.array([[3, 4], [7, 8]])}

    def allgather(raw):
        dtype = doubles.dtype if raw.tobytes() == doubles.tobytes() else numbers.dtype
        return np.stack([raw, np.frombuffer(others[dtype].tobytes(), np.uint8)])

    monkeypatch.setattr(distributed.multihost_utils, "process_allgather", allgather)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(distributed, "wait_for_all", lambda place: None)
    joined = distributed.join_batches({"score": doubles, "id": numbers})
    np.testing.assert_array_equal(joined["score"], [[1 + 1e-15, 2, 3, 4], [5, 6, 7, 8]])
    np.testing.assert_array_equal(joined["id"], [[2**40 + 1, 2, 3, 4], [5, 6, 7, 8]])
    assert joined["id"].dtype == np.int64


def test_own_rows_are_all_of_one_process():
    mesh = sharding.make_mesh()
    rows = np.arange(6 * mesh.size).reshape(2 * mesh.size, 3)
    np.testing.assert_array_equal(distributed.own_rows(sharding.put_batch({"a": rows}, mesh)["a"]), rows)
