"""The checksum manifest of a folder with three files, each of which is damaged in several ways."""

import hashlib
import shutil
import subprocess

import pytest

from aggpose_jax.runtime import checksums

FILES = {"a": b"first", "below/b": bytes(range(256)), "below/empty": b""}


@pytest.fixture
def folder(tmp_path):
    for name, content in FILES.items():
        path = tmp_path / "step" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    checksums.write_manifest(tmp_path / "step")
    return tmp_path / "step"


def test_the_manifest_has_the_format_of_sha256sum(folder):
    lines = (folder / checksums.MANIFEST).read_text().splitlines()
    assert lines == [f"{hashlib.sha256(content).hexdigest()}  {name}" for name, content in FILES.items()]
    assert checksums.find_damage(folder) is None
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", checksums.MANIFEST], cwd=folder, check=True)


@pytest.mark.parametrize("name", ["a", "below/b", checksums.MANIFEST])
def test_flipped_bits_and_truncations_are_found_and_named(folder, name):
    content = (folder / name).read_bytes()
    for bit in range(0, 8 * len(content), 7):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        (folder / name).write_bytes(flipped)
        assert name in checksums.find_damage(folder) or name == checksums.MANIFEST, bit
    for length in range(len(content)):
        (folder / name).write_bytes(content[:length])
        assert checksums.find_damage(folder), length
    (folder / name).write_bytes(content)
    assert checksums.find_damage(folder) is None


def test_missing_and_added_files_are_named(folder):
    (folder / "below" / "empty").unlink()
    (folder / "c").write_text("new")
    message = checksums.find_damage(folder)
    assert message == f"{folder}: below/empty is missing, c is not in SHA256SUMS"


def test_a_folder_without_a_manifest_is_not_verified(folder):
    assert checksums.has_manifest(folder)
    (folder / checksums.MANIFEST).unlink()
    assert not checksums.has_manifest(folder)
    assert "SHA256SUMS" in checksums.find_damage(folder)


def test_a_partially_written_manifest_is_ignored(folder):
    (folder / checksums.MANIFEST).rename(folder / f".{checksums.MANIFEST}.partial")
    assert not checksums.has_manifest(folder)
    checksums.write_manifest(folder)
    assert checksums.find_damage(folder) is None
