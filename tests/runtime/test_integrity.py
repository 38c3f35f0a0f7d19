"""A folder of three files, every one of them damaged in every way."""

import hashlib
import shutil
import subprocess

import pytest

from aggpose_jax.runtime import integrity

FILES = {"a": b"first", "below/b": bytes(range(256)), "below/empty": b""}


@pytest.fixture
def folder(tmp_path):
    for name, content in FILES.items():
        path = tmp_path / "step" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    integrity.seal(tmp_path / "step")
    return tmp_path / "step"


def test_the_manifest_lists_every_file_as_sha256sum_does(folder):
    lines = (folder / integrity.MANIFEST).read_text().splitlines()
    assert lines == [f"{hashlib.sha256(content).hexdigest()}  {name}" for name, content in FILES.items()]
    assert integrity.fault(folder) is None
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", integrity.MANIFEST], cwd=folder, check=True)


@pytest.mark.parametrize("name", ["a", "below/b", integrity.MANIFEST])
def test_every_flipped_bit_and_every_truncation_is_found_and_named(folder, name):
    whole = (folder / name).read_bytes()
    for place in range(0, 8 * len(whole), 7):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        (folder / name).write_bytes(flipped)
        assert name in integrity.fault(folder) or name == integrity.MANIFEST, place
    for length in range(len(whole)):
        (folder / name).write_bytes(whole[:length])
        assert integrity.fault(folder), length
    (folder / name).write_bytes(whole)
    assert integrity.fault(folder) is None


def test_what_is_missing_and_what_was_added_is_named(folder):
    (folder / "below" / "empty").unlink()
    (folder / "c").write_text("new")
    message = integrity.fault(folder)
    assert message == f"{folder}: below/empty is missing, c is not in SHA256SUMS"


def test_without_a_manifest_it_is_not_sealed(folder):
    assert integrity.is_sealed(folder)
    (folder / integrity.MANIFEST).unlink()
    assert not integrity.is_sealed(folder)
    assert "SHA256SUMS" in integrity.fault(folder)


def test_a_seal_that_was_cut_off_is_none(folder):
    (folder / integrity.MANIFEST).rename(folder / f".{integrity.MANIFEST}.partial")
    assert not integrity.is_sealed(folder)
    integrity.seal(folder)
    assert integrity.fault(folder) is None
