"""Errors of the file system, as Python and as TensorStore raise them."""

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
def test_an_error_of_the_disk_is_one_line(tmp_path, error, reason):
    manifest = tmp_path / "checkpoints" / "7" / "SHA256SUMS"
    for kept in ("no checkpoint was finished yet", "the checkpoint of step 7 is intact"):
        with pytest.raises(UserError) as raised, storage_errors.reported(tmp_path):
            raise error
        assert str(raised.value).startswith(f"{tmp_path}: cannot write ({reason}); {kept}; ")
        manifest.parent.mkdir(parents=True, exist_ok=True)
        manifest.touch()


def test_tensorstore_still_tells_the_number_of_an_error(tmp_path):
    (tmp_path / "file").touch()
    store = {"driver": "file", "path": str(tmp_path / "file")}  # a file where TensorStore needs a folder
    spec = {"driver": "zarr", "kvstore": store, "metadata": {"shape": [4], "dtype": "<f4"}}
    with pytest.raises(UserError, match=r"cannot write \(Not a directory\)"), storage_errors.reported(tmp_path):
        tensorstore.open(spec, create=True).result()


def test_a_missing_workdir_is_named_and_a_missing_file_elsewhere_is_a_defect(tmp_path):
    with pytest.raises(UserError, match="No such file"), storage_errors.reported(tmp_path / "run"):
        os.stat(tmp_path / "run" / "metrics.jsonl")
    with pytest.raises(FileNotFoundError), storage_errors.reported(tmp_path / "run"):
        os.stat(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="shapes"), storage_errors.reported(tmp_path):
        raise ValueError("shapes differ")
