"""Tests of atomic writes."""

import errno
import json
import os
import subprocess
import sys

import pytest
from disks import full_disk
from programs import environment

from aggpose_jax import io


def test_files_are_written_and_replaced_and_missing_folders_created(tmp_path):
    folder = tmp_path / "a" / "b"
    for number in (1, 2):
        io.write_bytes(folder / "bytes", bytes([number]))
        io.write_text(folder / "text", f"é{number}\r\n")
        io.write_json(folder / "json", {"number": [number]})
    io.write_json(folder / "indented", {"number": [2]}, indent=2)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "bytes": b"\x02",
        "text": "é2\r\n".encode(),
        "json": b'{"number": [2]}\n',
        "indented": b'{\n  "number": [\n    2\n  ]\n}\n',
    }


def test_block_that_raises_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"

    def fail(temporary):
        temporary.write_text("half")
        assert sorted(p.name for p in tmp_path.iterdir()) == [temporary.name, *before]
        raise ZeroDivisionError

    for before in ([], ["file"]):
        with pytest.raises(ZeroDivisionError), io.atomic_path(path) as temporary:
            fail(temporary)
        assert [p.name for p in tmp_path.iterdir()] == before
        path.write_text("old")
    assert path.read_text() == "old"


def test_file_is_flushed_to_disk_before_it_is_renamed(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda number: flushed.append((os.fstat(number).st_size, path.exists())))
    path = tmp_path / "file"
    io.write_bytes(path, bytes(5))
    assert flushed == [(5, False)]


def test_full_disk_leaves_the_old_file_and_the_error_has_its_name(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with full_disk(1000), pytest.raises(OSError, match="too large") as error:
        io.write_bytes(path, bytes(5000))
    assert (error.value.errno, error.value.filename) == (errno.EFBIG, str(path))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


KILLED = """
import os, pathlib, signal, sys
from aggpose_jax import io
with io.atomic_path(pathlib.Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_only_leftovers_of_killed_processes_are_removed(tmp_path):
    path = tmp_path / "file[1].json"
    path.write_text("{}")
    subprocess.run([sys.executable, "-c", KILLED, str(path)], env=environment(), check=False)
    other = tmp_path / ".file1.json.7.partial"
    other.touch()
    assert len(list(tmp_path.iterdir())) == 3
    io.remove_leftovers(path)
    assert {p.name for p in tmp_path.iterdir()} == {path.name, other.name}
    assert json.loads(path.read_text()) == {}


def test_numbers_that_json_does_not_have_become_null():
    content = {"a": [1.5, float("nan"), (float("-inf"), "NaN")], "b": {"c": float("inf")}}
    assert json.loads(io.to_json(content)) == {"a": [1.5, None, [None, "NaN"]], "b": {"c": None}}
    assert "NaN," not in io.to_json(content).replace('"NaN"', "")


def test_long_file_names_are_shortened_to_different_ones(tmp_path):
    assert io.shorten("film") == "film"
    names = [io.shorten(n) for n in ("é" * 150 + "a", "é" * 150 + "b")]
    assert names[0] != names[1]
    assert all(len(name.encode()) <= 200 for name in names)
    file = tmp_path / ("x" * 255)
    io.write_text(file, "whole")
    assert file.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [file]
