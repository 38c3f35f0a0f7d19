"""File system errors as raised by Python and by TensorStore."""

import errno
import os

import pytest
import tensorstore

from aggpose_jax.errors import UserError
from aggpose_jax.training.reliability import storage_errors

FULL = "OUT_OF_RANGE: Failed writing: File too large [os_error_code='27']"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (ValueError(FULL), "File too large"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
    ],
)
def test_a_disk_error_is_one_line(tmp_path, error, reason):
    manifest = tmp_path / "checkpoints" / "7" / "SHA256SUMS"
    for state in ("No checkpoint was finished", "The checkpoint of step 7 is intact"):
        with pytest.raises(UserError) as raised, storage_errors.as_user_error(tmp_path):
            raise error
        assert str(raised.value).startswith(f"{tmp_path}: cannot write ({reason}). {state}")
        manifest.parent.mkdir(parents=True, exist_ok=True)
        manifest.touch()


def test_the_message_of_tensorstore_contains_the_errno(tmp_path):
    (tmp_path / "file").touch()
    store = {"driver": "file", "path": str(tmp_path / "file")}  # a file, although TensorStore needs a folder
    spec = {"driver": "zarr", "kvstore": store, "metadata": {"shape": [4], "dtype": "<f4"}}
    with pytest.raises(UserError, match=r"Not a directory"), storage_errors.as_user_error(tmp_path):
        tensorstore.open(spec, create=True).result()


def test_other_errors_are_passed_on_except_in_the_workdir(tmp_path):
    with pytest.raises(UserError, match="No such file"), storage_errors.as_user_error(tmp_path / "run"):
        os.stat(tmp_path / "run" / "metrics.jsonl")
    with pytest.raises(FileNotFoundError), storage_errors.as_user_error(tmp_path / "run"):
        os.stat(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="shapes"), storage_errors.as_user_error(tmp_path):
        raise ValueError("shapes differ")
