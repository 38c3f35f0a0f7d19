"""The program `aggpose export`: other formats of finished recordings."""

import subprocess
import sys

import numpy as np
import pytest
from programs import environment
from recording_files import ONE, TWO, write_recording
from scipy.io import netcdf_file

from aggpose_jax import export
from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import INFANT_21
from aggpose_jax.recordings import coco, deeplabcut, formats, recording

RAW = (recording.TABLE, recording.FACTS)


def run(*arguments) -> None:
    export.main(export.parser().parse(list(map(str, arguments))))


def raw(folder) -> list[bytes]:
    return [(folder / name).read_bytes() for name in RAW]


def test_every_recording_is_written_beside_its_table_which_stays_as_it_is(tmp_path, capsys):
    made = {name: write_recording(tmp_path / name, persons) for name, persons in (("ü", ONE), ("ward/b", TWO))}
    before = [raw(tmp_path / name) for name in made]
    names = ["movement", *(set(formats.FORMATS) - {"deeplabcut_h5"})]
    run(tmp_path, "--format", ",".join(names))
    assert [raw(tmp_path / name) for name in made] == before
    assert capsys.readouterr().out.startswith("2 of 2 recordings ")
    for name, expected in made.items():
        folder = tmp_path / name
        read = deeplabcut.read(folder / "deeplabcut.csv", INFANT_21)
        np.testing.assert_array_equal(read.row, expected.poses.row)
        np.testing.assert_allclose(read.keypoints, expected.poses.keypoints, atol=6e-4)
        np.testing.assert_allclose(
            coco.read(folder / "keypoints.json", INFANT_21).keypoints, expected.poses.keypoints, atol=6e-4
        )
        stem = name.split("/")[-1]
        assert len(list((folder / "openpose").glob(f"{stem}_*.json"))) == 4
        with netcdf_file(folder / "movement.nc", mmap=False) as file:
            position = file.variables["position"][:].transpose(0, 3, 2, 1)
        np.testing.assert_allclose(position, expected.position, atol=6e-4)


def test_another_folder_gets_a_folder_for_each_video_and_the_table_too(tmp_path):
    write_recording(tmp_path / "job" / "ward" / "a")
    run(tmp_path / "job", "--format", "csv,movement", "--out", tmp_path / "out")
    run(tmp_path / "job" / "ward" / "a", "--format", "deeplabcut", "--out", tmp_path / "out")
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert written == {"ward/a/keypoints.csv", "ward/a/movement.nc", "a/deeplabcut.csv"}
    table = tmp_path / "job" / "ward" / "a" / "keypoints.csv"
    assert (tmp_path / "out" / "ward" / "a" / "keypoints.csv").read_bytes() == table.read_bytes()


def test_the_table_of_another_job_is_not_replaced(tmp_path):
    write_recording(tmp_path / "one" / "a", ONE)
    write_recording(tmp_path / "two" / "a", TWO)
    before = raw(tmp_path / "two" / "a")
    run(tmp_path / "one", "--format", "csv,coco", "--out", tmp_path / "two")
    assert raw(tmp_path / "two" / "a") == before


def test_a_bad_recording_is_listed_and_the_others_are_written(tmp_path, capsys):
    for name in "abcd":
        write_recording(tmp_path / name)
    (tmp_path / "a" / "video.json").write_text("{")
    (tmp_path / "c" / "movement.nc").mkdir()  # where the file cannot be written
    with pytest.raises(UserError, match=rf"^2 of 4 recordings of {tmp_path} failed"):
        run(tmp_path, "--format", "movement")
    out, err = capsys.readouterr()
    assert out.startswith("2 of 4 recordings ")
    first, second = err.splitlines()
    assert f"{tmp_path}/a/video.json" in first
    assert f"{tmp_path}/c: cannot be written" in second
    assert (tmp_path / "d" / "movement.nc").is_file()
    with pytest.raises(UserError, match=r"a/video\.json"):
        run(tmp_path / "a", "--format", "movement")


def test_a_folder_without_recordings_and_an_unknown_format_are_named(tmp_path, capsys):
    with pytest.raises(UserError, match="has no recording"):
        run(tmp_path, "--format", "coco")
    with pytest.raises(SystemExit):
        run(tmp_path, "--format", "coco,xml")
    (line,) = capsys.readouterr().err.splitlines()
    assert "unknown format xml" in line


def test_a_missing_library_is_named_before_anything_is_written(tmp_path, monkeypatch):
    write_recording(tmp_path / "a")
    monkeypatch.setitem(sys.modules, "pynwb", None)
    monkeypatch.setitem(sys.modules, "ndx_pose", None)
    with pytest.raises(UserError, match=r"aggpose_jax\[nwb\]"):
        run(tmp_path, "--format", "coco,nwb")
    assert len(list((tmp_path / "a").iterdir())) == 2


def test_the_program_loads_no_network_library(tmp_path):
    write_recording(tmp_path / "a")
    program = (
        "import sys; from aggpose_jax import export as e; e.main(e.parser().parse(sys.argv[1:])); print(*sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, tmp_path, "--format=coco"],
        env=environment(), text=True, capture_output=True, check=True,
    )  # fmt: skip
    assert not {"jax", "flax", "torch", "pandas"} & set(ended.stdout.split())
